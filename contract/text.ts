/** Text that Postgres or a provider cannot hold: NUL, and surrogates without their other half. */
const UNHOLDABLE = /\0|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g

/** The text with each such character replaced by U+FFFD, and how many there were (PITFALLS.md, Text). */
export function normaliseText(text: string): { text: string; normalised: number } {
  let normalised = 0
  const clean = text.replace(UNHOLDABLE, () => {
    normalised++
    return '\uFFFD'
  })
  return { text: clean, normalised }
}

/** The first `chars` characters, never ending in half a surrogate pair. */
export function cutText(text: string, chars: number): string {
  if (text.length <= chars) return text
  const code = text.charCodeAt(chars - 1)
  return text.slice(0, code >= 0xd800 && code <= 0xdbff ? chars - 1 : chars)
}
