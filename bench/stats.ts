/** Numbers of a bench: percentiles, and what the kernel says of processes. */
import { readFileSync, readdirSync } from 'node:fs'

/** The value that `share` (0 to 1) of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits))
}

/** `12.3 / 45.6`: p50 and p99. */
export function p50p99(values: readonly number[], digits = 1): string {
  return `${round(percentile(values, 0.5), digits)} / ${round(percentile(values, 0.99), digits)}`
}

const TICKS_PER_SECOND = 100

/** CPU milliseconds that a process and its children have used; children that ended are counted where they were waited for. */
export function cpuMs(pid: number): number {
  const parents = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : null
    if (stat) parents.set(stat.parent, [...(parents.get(stat.parent) ?? []), Number(name)])
  }
  const sum = (id: number): number =>
    (statOf(id)?.ticks ?? 0) + (parents.get(id) ?? []).reduce((total, child) => total + sum(child), 0)
  return (sum(pid) * 1000) / TICKS_PER_SECOND
}

function statOf(pid: number): { parent: number; ticks: number } | null {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null // it ended while we looked
  }
  // Counted from the end of the name, which may hold anything: 1 the parent, 11 to 14 the times, those of dead children included.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(fields[1]), ticks: [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) }
}

/** Resident kilobytes now (`VmRSS`) or at the highest (`VmHWM`). */
export function memoryKb(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`${which}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
