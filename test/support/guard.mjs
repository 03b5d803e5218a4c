// Ends the servers of a test run and removes its folder when the run is over, also one that was interrupted or killed: its end is the end
// of our standard input, on which it tells the pids, one a line. Pids cannot have become another's: we are their run's only reaper for
// the seconds in between.
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const [folder] = process.argv.slice(2)
const pids = []
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
for await (const line of createInterface({ input: process.stdin })) pids.push(Number(line))

// 0 asks whether it is there.
const send = (pid, signal) => {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
// Postgres takes QUIT as "at once"; nothing of the data is wanted.
for (const pid of pids) send(pid, 'SIGQUIT')
for (let left = 250; left > 0 && pids.some((pid) => send(pid, 0)); left--) {
  if (left === 50) for (const pid of pids) send(pid, 'SIGKILL')
  await sleep(20)
}
rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
