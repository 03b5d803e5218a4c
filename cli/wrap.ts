/** Text in lines of a width: whole, and as it comes. Words longer than a line stay whole. */

export function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    if (line.length <= width) return [line]
    const indent = /^\s*/.exec(line)?.[0] ?? ''
    const lines: string[] = []
    let at = indent
    for (const word of line.trim().split(/ +/)) {
      if (at.trim() !== '' && at.length + word.length + 1 > width) {
        lines.push(at)
        at = indent
      }
      at = at.trim() === '' ? at + word : `${at} ${word}`
    }
    return [...lines, at]
  })
}

/** Breaks a stream of chunks into lines as they are written; each new line begins with `indent`. */
export function createFlow(width: number, indent: string): (chunk: string) => string {
  let column = 0
  return (chunk) => {
    let out = ''
    for (const token of chunk.split(/(\n| +)/)) {
      if (token === '') continue
      if (token === '\n') {
        out += `\n${indent}`
        column = 0
      } else if (column > 0 && column + token.length > width) {
        out += `\n${indent}${token.trim()}`
        column = token.trim().length
      } else {
        out += token
        column += token.length
      }
    }
    return out
  }
}
