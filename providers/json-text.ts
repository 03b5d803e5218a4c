/** JSON as it is spelt: the text of a value inside a document, and whether a schema can be held to strictly. */

/** The text of the value at `path`, as it stands in `json`, which must be valid; undefined where there is none. */
export function sourceAt(json: string, path: readonly (string | number)[]): string | undefined {
  let at = space(json, 0)
  for (const step of path) {
    const found = member(json, at, step)
    if (found === undefined) return undefined
    at = found
  }
  return json.slice(at, end(json, at))
}

/** Where the value of one member, or of one element, begins. */
function member(json: string, at: number, step: string | number): number | undefined {
  const isObject = json[at] === '{'
  if (isObject !== (typeof step === 'string') || (!isObject && json[at] !== '[')) return undefined
  let i = space(json, at + 1)
  let found: number | undefined
  for (let n = 0; i < json.length && json[i] !== '}' && json[i] !== ']'; n++) {
    let key: unknown = n
    if (isObject) {
      const colon = end(json, i)
      key = JSON.parse(json.slice(i, colon))
      i = space(json, space(json, colon) + 1)
    }
    // Of a key that stands twice the last one holds, as JSON.parse has it.
    if (key === step) found = i
    i = space(json, end(json, i))
    if (json[i] === ',') i = space(json, i + 1)
  }
  return found
}

function space(json: string, at: number): number {
  let i = at
  while (/[ \t\r\n]/.test(json[i] ?? '')) i++
  return i
}

/** Where the value that begins at `at` ends. */
function end(json: string, at: number): number {
  let depth = 0
  for (let i = at; i < json.length; i++) {
    const c = json[i]
    if (c === '"') {
      for (i++; i < json.length && json[i] !== '"'; i++) if (json[i] === '\\') i++
      if (depth === 0) return i + 1
    } else if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') {
      if (depth === 0) return i
      if (--depth === 0) return i + 1
    } else if (depth === 0 && /[,\s]/.test(c ?? '')) return i
  }
  return json.length
}

export const NOT_STRICT =
  'the schema leaves properties open or optional: it is sent, and the vendor does not promise to hold to it'

/** Every object in the schema closed, every property required: what vendors take as `strict`. */
export function isStrictSchema(json: string): boolean {
  return strict(JSON.parse(json))
}

function strict(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.every(strict)
  if (typeof schema !== 'object' || schema === null) return true
  const { type, properties, required, additionalProperties } = schema as Record<string, unknown>
  if (type === 'object' || properties !== undefined) {
    const named = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
    const all: readonly unknown[] = Array.isArray(required) ? required : []
    if (additionalProperties !== false || !named.every((name) => all.includes(name))) return false
  }
  return Object.values(schema).every(strict)
}
