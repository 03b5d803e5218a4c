/** Numbers and times as people read them. Always UTC: an export says the same wherever it is made. */

/** Of microseconds since 1970: `2026-11-25 10:31:09Z`. */
export function timeText(at: number): string {
  return `${new Date(at / 1000).toISOString().slice(0, 19).replace('T', ' ')}Z`
}

export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function bytesText(n: number): string {
  if (n < 1024) return `${n} B`
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`
  return `${(n / 1024 / 1024).toFixed(1)} MiB`
}

export function usdText(micros: number): string {
  return `$${(micros / 1_000_000).toFixed(micros < 10_000 ? 6 : 4)}`
}

export function countText(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
