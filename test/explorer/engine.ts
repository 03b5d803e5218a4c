/**
 * Explicit-state search. A state is a plain object; it is remembered as a 64-bit fingerprint of its encoding, with its parent and the
 * number of the action that led to it, so that a counterexample is found again by replaying actions. Breadth first: traces are shortest.
 */
export interface Action<W> {
  name: string
  fault: boolean
  next(): W
}

export interface Model<W> {
  init(): W
  actions(world: W): Action<W>[]
  /** What must never be; null where all is well. */
  check(world: W): string | null
  /** What must not be an end: asked where no action but a fault is left. */
  done(world: W): string | null
  encode(world: W): string
  decode(text: string): W
}

export interface Found<W> {
  what: string
  depth: number
  names: string[]
  world: W
}

export interface Explored<W> {
  states: number
  depth: number
  ends: number
  /** Time or states ran out: all states to about this depth were seen. */
  cut: boolean
  ms: number
  found: Found<W>[]
}

export interface Budget {
  seconds: number
  states?: number
  /** Backwards from the good ends: does every state still reach one without a further fault? */
  ends?: boolean
  /** Go on past other findings until one begins with this. */
  until?: string
}

/** Held: in a test's realm every look at a global is slow, and this one is taken per character. */
const { imul } = Math
let high = 0
let low = 0
function fingerprint(text: string): void {
  let a = 0x811c9dc5
  let b = 0x1b873593
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    a = imul(a ^ c, 0x01000193)
    b = (imul(b ^ c, 0x85ebca6b) + 0x9e3779b1) | 0
    b = (b << 13) | (b >>> 19)
  }
  a ^= a >>> 15
  a = imul(a, 0x9e3779b1)
  a ^= a >>> 13
  b ^= b >>> 16
  b = imul(b, 0x85ebca6b)
  b ^= b >>> 13
  high = a >>> 0
  low = b >>> 0 || 1
}

/** Open addressing over typed arrays: a JS Map of some millions of strings costs gigabytes. */
class Seen {
  private cap = 1 << 16
  private n = 0
  private a = new Uint32Array(this.cap)
  private b = new Uint32Array(this.cap)
  private id = new Int32Array(this.cap)

  /** The id under which the state is known, or -1 after remembering it under `fresh`. */
  put(x: number, y: number, fresh: number): number {
    if (this.n * 10 > this.cap * 6) this.grow()
    let i = ((x ^ imul(y, 0x9e3779b1)) >>> 0) & (this.cap - 1)
    while (this.b[i] !== 0) {
      if (this.a[i] === x && this.b[i] === y) return this.id[i]!
      i = (i + 1) & (this.cap - 1)
    }
    this.a[i] = x
    this.b[i] = y
    this.id[i] = fresh
    this.n++
    return -1
  }

  private grow(): void {
    const { a, b, id, cap } = this
    this.cap = cap * 2
    this.a = new Uint32Array(this.cap)
    this.b = new Uint32Array(this.cap)
    this.id = new Int32Array(this.cap)
    this.n = 0
    for (let i = 0; i < cap; i++) if (b[i] !== 0) this.put(a[i]!, b[i]!, id[i]!)
  }
}

class Ints {
  n = 0
  private v = new Int32Array(1 << 16)
  push(x: number): void {
    if (this.n === this.v.length) {
      const wider = new Int32Array(this.n * 2)
      wider.set(this.v)
      this.v = wider
    }
    this.v[this.n++] = x
  }
  at(i: number): number {
    return this.v[i]!
  }
}

/** What tells one finding from another: the words before ` ~ `, which only say where. */
export const kindOfFinding = (what: string): string => what.split(' ~ ')[0]!

export function explore<W>(model: Model<W>, budget: Budget): Explored<W> {
  const t0 = Date.now()
  const seen = new Seen()
  const [parent, act, depth, from, to] = [new Ints(), new Ints(), new Ints(), new Ints(), new Ints()]
  const goals: number[] = []
  const found: Found<W>[] = []
  const kinds = new Set<string>()
  const first = model.encode(model.init())
  fingerprint(first)
  seen.put(high, low, 0)
  parent.push(-1)
  act.push(0)
  depth.push(0)

  const trace = (id: number): { names: string[]; world: W } => {
    const steps: number[] = []
    for (let i = id; parent.at(i) >= 0; i = parent.at(i)) steps.push(act.at(i))
    const names: string[] = []
    let world = model.decode(first)
    for (const k of steps.reverse()) {
      const action = model.actions(world)[k]!
      names.push((action.fault ? '! ' : '  ') + action.name)
      world = model.decode(model.encode(action.next()))
    }
    return { names, world }
  }
  /** True: enough was found. */
  const report = (id: number, what: string): boolean => {
    if (!kinds.has(kindOfFinding(what))) {
      kinds.add(kindOfFinding(what))
      found.push({ what, depth: depth.at(id), ...trace(id) })
    }
    return budget.until === undefined || what.startsWith(budget.until)
  }

  let queue: { id: number; text: string }[] = [{ id: 0, text: first }]
  let [ends, level, cut] = [0, 0, false]
  const maxStates = budget.states ?? 8_000_000
  search: for (; queue.length > 0; level++) {
    const next: typeof queue = []
    for (const [i, { id, text }] of queue.entries()) {
      const world = model.decode(text)
      let live = false
      for (const [k, action] of model.actions(world).entries()) {
        live ||= !action.fault
        const after = action.next()
        const encoded = model.encode(after)
        fingerprint(encoded)
        const fresh = parent.n
        const known = seen.put(high, low, fresh)
        if (budget.ends && !action.fault) {
          from.push(id)
          to.push(known < 0 ? fresh : known)
        }
        if (known >= 0) continue
        parent.push(id)
        act.push(k)
        depth.push(level + 1)
        const what = model.check(after)
        if (what === null) next.push({ id: fresh, text: encoded })
        else if (report(fresh, what)) break search
      }
      if (!live) {
        ends++
        const what = model.done(world)
        if (what === null) goals.push(id)
        else if (report(id, what)) break search
      }
      if (parent.n > maxStates || ((i & 255) === 0 && Date.now() - t0 > budget.seconds * 1000)) {
        cut = true
        break search
      }
    }
    queue = next
  }
  if (budget.ends && !cut && found.length === 0) {
    const lost = firstTrapped(parent.n, from, to, goals)
    if (lost !== null) report(lost, 'no good end can be reached from here')
  }
  return { states: parent.n, depth: level, ends, cut, ms: Date.now() - t0, found }
}

/** The first state from which no path without a fault leads to a good end. */
function firstTrapped(n: number, from: Ints, to: Ints, goals: number[]): number | null {
  const head = new Int32Array(n).fill(-1)
  const link = new Int32Array(from.n)
  for (let i = 0; i < from.n; i++) {
    link[i] = head[to.at(i)]!
    head[to.at(i)] = i
  }
  const good = new Uint8Array(n)
  const stack = [...goals]
  for (const goal of goals) good[goal] = 1
  for (let x = stack.pop(); x !== undefined; x = stack.pop())
    for (let e = head[x]!; e >= 0; e = link[e]!)
      if (!good[from.at(e)]) {
        good[from.at(e)] = 1
        stack.push(from.at(e))
      }
  const lost = good.indexOf(0)
  return lost < 0 ? null : lost
}

export interface Walked<W> {
  walks: number
  steps: number
  ms: number
  found: Found<W>[]
}

/** Random walks, for scopes too wide to exhaust. The seed gives the same walks again. */
export function walk<W>(
  model: Model<W>,
  { seconds, seed, walks: most = Infinity }: { seconds: number; seed: number; walks?: number },
): Walked<W> {
  let x = imul(seed, 2654435761) >>> 0 || 1
  const random = (): number => {
    x ^= x << 13
    x >>>= 0
    x ^= x >>> 17
    x ^= x << 5
    x >>>= 0
    return x / 4294967296
  }
  const t0 = Date.now()
  let [walks, steps] = [0, 0]
  while (walks < most && Date.now() - t0 < seconds * 1000) {
    let world = model.decode(model.encode(model.init()))
    const names: string[] = []
    const stopAt = (what: string): Walked<W> => ({
      walks,
      steps,
      ms: Date.now() - t0,
      found: [{ what, depth: names.length, names, world }],
    })
    walks++
    for (;;) {
      const actions = model.actions(world)
      const [live, faults] = [actions.filter((a) => !a.fault), actions.filter((a) => a.fault)]
      if (live.length === 0) {
        const what = model.done(world)
        if (what !== null) return stopAt(what)
        break
      }
      const pool = faults.length > 0 && random() < 0.12 ? faults : live
      const action = pool[Math.floor(random() * pool.length)]!
      names.push((action.fault ? '! ' : '  ') + action.name)
      world = model.decode(model.encode(action.next()))
      steps++
      const what = model.check(world)
      if (what !== null) return stopAt(what)
      if (names.length > 2000) return stopAt('does not end')
    }
  }
  return { walks, steps, ms: Date.now() - t0, found: [] }
}
