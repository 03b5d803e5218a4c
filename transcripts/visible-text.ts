/**
 * Text from people, models and tools as it can be shown anywhere: what would act unseen (control characters, what turns the direction of a
 * line, what has no width) is made visible. Joiners stay: scripts and emoji need them.
 */
const HIDDEN =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

/** Lines end with \n. */
export function visible(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(HIDDEN, (char) => {
    const code = char.codePointAt(0) ?? 0
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`
  })
}

/** Its first line that says something, at most so many characters. */
export function firstLine(text: string, chars: number): string {
  const line = visible(text.slice(0, chars * 8))
    .trim()
    .split('\n', 1)[0]
    ?.trim()
  const all = [...(line ?? '')]
  return all.length <= chars ? all.join('') : `${all.slice(0, chars - 1).join('')}…`
}
