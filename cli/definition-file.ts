import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseDefinition, type DefinitionInput } from '../contract/definition'
import { SavefileError } from '../contract/errors'
import { builtinSpecs } from '../tools/builtin'

/**
 * A definition from a JSON file. A tool may be given by the name of a built-in one: `"tools": ["read_file", "write_file"]`.
 * @throws SavefileError `invalid_definition`
 */
export async function readDefinition(path: string): Promise<DefinitionInput> {
  const file = resolve(path)
  let json: unknown
  try {
    json = JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const why = cause instanceof SyntaxError ? `is not JSON: ${cause.message}` : 'cannot be read'
    throw new SavefileError('invalid_definition', `The definition ${file} ${why}`, { file }, { cause })
  }
  return parseDefinition(withBuiltins(json))
}

function withBuiltins(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || !('tools' in json) || !Array.isArray(json.tools)) return json
  const specs = new Map(builtinSpecs().map((spec) => [spec.name, spec]))
  const tools = (json.tools as unknown[]).map((tool) => {
    if (typeof tool !== 'string') return tool
    const spec = specs.get(tool)
    if (spec) return spec
    throw new SavefileError(
      'invalid_definition',
      `There is no built-in tool ${JSON.stringify(tool)}; there are ${[...specs.keys()].join(', ')}.`,
    )
  })
  return { ...json, tools }
}
