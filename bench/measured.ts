/** What a piece of work takes: time, processor and memory of this process. */
const MEMORY_EVERY_MS = 20

export interface Measured {
  seconds: number
  /** Of this process: user and system. */
  cpuSeconds: number
  /** Above what it held before. */
  memoryMb: number
}

export async function measured(run: () => Promise<unknown>): Promise<Measured> {
  globalThis.gc?.()
  const base = process.memoryUsage().rss
  let peak = base
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), MEMORY_EVERY_MS)
  const cpu = process.cpuUsage()
  const began = performance.now()
  await run()
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(cpu)
  clearInterval(timer)
  return { seconds, cpuSeconds: (user + system) / 1e6, memoryMb: (peak - base) / 2 ** 20 }
}
