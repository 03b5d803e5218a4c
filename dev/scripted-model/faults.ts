/** Which fault happens to which request: counts, per rule and conversation, in memory; a restarted server counts anew. */
import type { Fault } from './script'

export interface FaultBook {
  /** The fault that this request meets, or null; it counts as happened. Faults set at run time come before those of the rules. */
  next(rule: string, conversation: string, fault: Fault | undefined): Fault | null
  /** The next `fault.times` requests meet it, whatever they ask; null ends what was set. */
  set(fault: Fault | null): void
}

export function makeFaultBook(): FaultBook {
  const happened = new Map<string, number>()
  let set: { fault: Fault; left: number } | null = null
  return {
    next(rule, conversation, fault) {
      if (set) {
        const { fault: now } = set
        set = set.left > 1 ? { fault: now, left: set.left - 1 } : null
        return now
      }
      if (!fault) return null
      const key = `${conversation} ${rule}`
      const count = happened.get(key) ?? 0
      if (count >= fault.times) return null
      happened.set(key, count + 1)
      return fault
    },
    set(fault) {
      set = fault && { fault, left: fault.times }
    },
  }
}
