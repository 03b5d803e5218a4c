/** The text of a value inside a document, found without parsing it anew; and which schemas vendors hold to strictly. */
import fc from 'fast-check'
import { isStrictSchema, sourceAt } from '../../providers/json-text'

const spaces = fc.constantFrom('', ' ', '\n', '\t ')

/** JSON text with space in any place, and the paths to all that is in it. */
function spelt(value: unknown, space: () => string): string {
  const s = space
  if (Array.isArray(value)) return `[${s()}${value.map((v) => spelt(v, s)).join(`${s()},${s()}`)}${s()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([key, v]) => `${JSON.stringify(key)}${s()}:${s()}${spelt(v, s)}`)
  return `{${s()}${members.join(`${s()},${s()}`)}${s()}}`
}

function pathsOf(value: unknown): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [[]]
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((v, i) => [i, v])
    : Object.entries(value)
  return [[], ...entries.flatMap(([key, inner]) => pathsOf(inner).map((path) => [key, ...path]))]
}

test('the text at every path is that value, however it is spelt', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.array(spaces, { minLength: 1 }), (value, some) => {
      let n = 0
      const json = spelt(value, () => some[n++ % some.length] ?? '')
      for (const path of pathsOf(value)) {
        const at = path.reduce<unknown>((v, key) => (v as Record<string | number, unknown>)[key], value)
        expect(JSON.parse(sourceAt(json, path) ?? 'nothing')).toEqual(JSON.parse(JSON.stringify(at)))
      }
    }),
  )
})

test('numbers and escapes stay as they are written, and what is not there is not found', () => {
  const json = ' {"a" : [1e2, {"b\\u0063":  12345678901234567890 }], "a2": "]}"} '
  expect(sourceAt(json, ['a', 0])).toBe('1e2')
  expect(sourceAt(json, ['a', 1, 'bc'])).toBe('12345678901234567890')
  expect(sourceAt(json, ['a2'])).toBe('"]}"')
  for (const path of [['x'], ['a', 2], ['a', 'b'], ['a2', 0]]) expect(sourceAt(json, path)).toBeUndefined()
})

test.each([
  ['{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}', true],
  ['{"type":"object","properties":{},"additionalProperties":false}', true],
  ['{"type":"object","properties":{"a":{}},"required":["a"]}', false],
  ['{"type":"object","properties":{"a":{}},"additionalProperties":false}', false],
  [
    '{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{"b":{}}}}},"required":["a"],"additionalProperties":false}',
    false,
  ],
])('strict: %s is %s', (schema, is) => {
  expect(isStrictSchema(schema)).toBe(is)
})
