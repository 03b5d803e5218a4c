/**
 * JSON text inside a request, spelt as it is stored: an SDK takes objects, and parsing would round big numbers and drop the order of
 * integer-like keys. Each request has a mark of its own that nobody can guess, so no content can pass for raw JSON.
 */
import { randomUUID } from 'node:crypto'

export interface RawJson {
  /** A stand-in for valid JSON text, to be put anywhere into a value that `JSON.stringify` will see. */
  of(json: string): unknown
  /** The serialised value with every stand-in replaced by its text. */
  restore(serialised: string): string
  /** A value's own JSON text. */
  text(value: object): string
  /** Stand-ins for the elements of an array, which are there as JSON texts: they are put together when the whole is serialised, once. */
  elements(texts: () => readonly string[]): unknown[]
}

export function createRawJson(): RawJson {
  const mark = `raw-json-${randomUUID()}-`
  const texts: (string | (() => string))[] = []
  const standIn = (text: string | (() => string)): string => `${mark}${texts.push(text) - 1}`
  const raw: RawJson = {
    of: standIn,
    restore(serialised) {
      if (texts.length === 0) return serialised
      // No pattern: compiling one costs more than most entries have to be looked at.
      const [first = '', ...rest] = serialised.split(`"${mark}`)
      return rest.reduce((whole, part) => {
        const end = part.indexOf('"')
        const text = texts[Number(part.slice(0, end))] ?? 'null'
        return whole + (typeof text === 'string' ? text : text()) + part.slice(end + 1)
      }, first)
    },
    text: (value) => raw.restore(JSON.stringify(value)),
    elements: (elements) => [standIn(() => elements().join(','))],
  }
  return raw
}
