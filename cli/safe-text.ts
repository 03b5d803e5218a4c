/**
 * Text from models, tools and other people, made safe for a terminal: no escape sequence, no carriage return over what was printed, no
 * character that turns the direction of the line. What is taken out leaves a visible mark.
 */

// C0 but tab and newline; DEL and C1; bidirectional controls; the separators that some terminals take for newlines.
const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Newlines and tabs stay. */
export function safeText(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(UNSAFE, (char) => {
    const code = char.charCodeAt(0)
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\uFFFD'
  })
}

/** One line, at most `width` characters, cut with an ellipsis. */
export function oneLine(text: string, width: number): string {
  // What can't be seen in the end is not looked at: a text may have megabytes.
  const line = safeText(text.slice(0, width * 8))
    .replace(/\s+/g, ' ')
    .trim()
  return cut(line, width)
}

export function cut(line: string, width: number): string {
  if (line.length <= width) return line
  const chars = [...line]
  return chars.length <= width ? line : `${chars.slice(0, Math.max(1, width - 1)).join('')}…`
}
