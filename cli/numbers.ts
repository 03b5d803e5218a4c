/** Numbers for people. */

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`
}

export function tokens(n: number): string {
  return n < 10_000
    ? n.toLocaleString('en-US')
    : n < 1_000_000
      ? `${(n / 1000).toFixed(1)}k`
      : `${(n / 1_000_000).toFixed(2)}M`
}

export function usd(micros: number): string {
  const dollars = micros / 1_000_000
  return dollars === 0
    ? '$0'
    : dollars < 0.0001
      ? '<$0.0001'
      : dollars < 1
        ? `$${dollars.toFixed(4)}`
        : `$${dollars.toFixed(2)}`
}

export function bytes(n: number): string {
  return n < 1024 ? `${n} B` : n < 1024 * 1024 ? `${(n / 1024).toFixed(1)} KB` : `${(n / 1024 / 1024).toFixed(1)} MB`
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const s = ms / 1000
  return s < 60
    ? `${s.toFixed(1)} s`
    : s < 3600
      ? `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`
      : `${(s / 3600).toFixed(1)} h`
}

/** `2 min ago`. Both in milliseconds. */
export function ago(then: number, now: number): string {
  const s = Math.max(0, (now - then) / 1000)
  if (s < 60) return `${Math.floor(s)} s ago`
  if (s < 3600) return `${Math.floor(s / 60)} min ago`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`
  return `${Math.floor(s / 86_400)} d ago`
}
