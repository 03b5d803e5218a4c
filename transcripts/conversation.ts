/**
 * The tree of a transcript as a reader finds it, entry by entry. Whatever hangs on an answer or on one of its results comes behind all of its
 * results: clients write parallel ones as branches, and messages in between them.
 */
import type { Entry, Item } from './items'

interface Answered {
  /** The answer, or the last of its results so far. */
  tail: Entry
  /** Ids of calls that have no result yet. */
  open: Set<string>
}

export class Conversation {
  readonly entries: Entry[] = []
  private readonly groups = new Map<Entry, Answered>()
  private readonly calls = new Map<string, Answered>()

  get last(): Entry | null {
    return this.entries.at(-1) ?? null
  }

  add(entry: Entry): Entry {
    this.entries.push(entry)
    return entry
  }

  /** Call ids may come again in another branch: the last answer that named one has it. */
  answer(entry: Entry): Entry {
    const group: Answered = { tail: entry, open: new Set() }
    this.groups.set(entry, group)
    this.add(entry)
    this.named(entry)
    return entry
  }

  /** Looks again at the calls of an answer that went on. */
  named(entry: Entry): void {
    const group = this.groups.get(entry)
    if (!group || entry.item.kind !== 'answer') return
    for (const block of entry.item.blocks) {
      if (block.type !== 'tool_call' || block.call === '' || this.calls.get(block.call) === group) continue
      this.calls.set(block.call, group)
      group.open.add(block.call)
    }
  }

  /** Whether the answer is the one that `place` belongs to. */
  belongs(place: Entry | null, answer: Entry): boolean {
    return place !== null && (place === answer || this.groups.get(place) === this.groups.get(answer))
  }

  has(call: string): boolean {
    return this.calls.has(call)
  }

  /** Null: no answer has that call. A second result is late evidence, and stands where `place` says. */
  result(
    item: Extract<Item, { kind: 'result' }>,
    place: Entry | null,
    facts: Omit<Entry, 'item' | 'parent'>,
  ): Entry | null {
    const group = this.calls.get(item.call)
    if (!group) return null
    if (!group.open.delete(item.call)) {
      const { call, outcome, blocks } = item
      return this.add({ ...facts, item: { kind: 'late', call, outcome, blocks }, parent: place })
    }
    const entry = this.add({ ...facts, item, parent: group.tail })
    this.groups.set(entry, group)
    group.tail = entry
    return entry
  }

  /** Once all are there: who hangs on an answer hangs on the end of its results. */
  finish(): Entry[] {
    for (const entry of this.entries) {
      const group = entry.parent ? this.groups.get(entry.parent) : undefined
      if (group && this.groups.get(entry) !== group) entry.parent = group.tail
    }
    return this.entries
  }
}
