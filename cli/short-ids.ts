/** Long enough to be typed and to stay unique for a while. */
const LEAST = 6

/** For each id the shortest beginning, of at least six characters, that no other of them has. */
export function shortIds(ids: readonly string[]): Map<string, string> {
  const sorted = [...new Set(ids)].sort()
  return new Map(
    sorted.map((id, i) => {
      const shared = Math.max(common(id, sorted[i - 1]), common(id, sorted[i + 1]))
      return [id, id.slice(0, Math.max(LEAST, shared + 1))]
    }),
  )
}

function common(a: string, b: string | undefined): number {
  let n = 0
  while (b !== undefined && n < a.length && a[n] === b[n]) n++
  return n
}
