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
  /** Stand-ins for the elements of an array, which are there as JSON texts: it is serialised without looking at them again. */
  elements(texts: readonly string[]): unknown[]
}

export function createRawJson(): RawJson {
  const mark = `raw-json-${randomUUID()}-`
  const texts: string[] = []
  const raw: RawJson = {
    of: (json) => `${mark}${texts.push(json) - 1}`,
    restore(serialised) {
      if (texts.length === 0) return serialised
      return serialised.replace(
        new RegExp(`"${mark}(\\d+)"`, 'g'),
        (_, index: string) => texts[Number(index)] ?? 'null',
      )
    },
    text: (value) => raw.restore(JSON.stringify(value)),
    elements: (elements) => (elements.length === 0 ? [] : [raw.of(elements.join(','))]),
  }
  return raw
}
