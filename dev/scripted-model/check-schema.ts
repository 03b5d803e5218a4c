/**
 * What vendors ask of a JSON Schema beyond JSON Schema. OpenAI's `strict` (reports: lastmile-ai/openai-agents-mcp 2, xemantic-ai-tool-schema
 * 37): every object closed, every property required. Anthropic's structured output and `strict` tools: every object closed.
 */
import { isRecord, list, type Json } from './json'

/** Where in a schema an object is not closed, or a property not required, in OpenAI's words; null where nothing is wrong. */
export function strictProblem(schema: unknown): string | null {
  for (const { at, node } of objects(schema, [])) {
    const context = `In context=(${at.map((step) => `'${step}'`).join(', ')}${at.length === 1 ? ',' : ''})`
    if (node.additionalProperties !== false)
      return `${context}, 'additionalProperties' is required to be supplied and to be false.`
    const names = isRecord(node.properties) ? Object.keys(node.properties) : []
    const required = list(node.required)
    const missing = names.find((name) => !required.includes(name))
    if (missing !== undefined)
      return `${context}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`
  }
  return null
}

/** True where some object of a schema may have properties that it does not name. */
export function isOpen(schema: unknown): boolean {
  return objects(schema, []).some(({ node }) => node.additionalProperties !== false)
}

function objects(node: unknown, at: string[]): { at: string[]; node: Json }[] {
  if (Array.isArray(node)) return node.flatMap((item, i) => objects(item, [...at, String(i)]))
  if (!isRecord(node)) return []
  const own = node.type === 'object' || list(node.type).includes('object') || isRecord(node.properties)
  const inner = ['items', 'anyOf', 'allOf', 'oneOf'].flatMap((key) => objects(node[key], [...at, key]))
  const named = ['properties', '$defs', 'definitions'].flatMap((key) =>
    Object.entries(isRecord(node[key]) ? node[key] : {}).flatMap(([name, child]) => objects(child, [...at, key, name])),
  )
  return [...(own ? [{ at, node }] : []), ...named, ...inner]
}

/** The root that functions must have; undefined counts as a function without parameters. */
export function isObjectRoot(schema: unknown): boolean {
  if (schema === undefined || schema === null) return true
  return (
    isRecord(schema) &&
    schema.type === 'object' &&
    ['oneOf', 'anyOf', 'allOf', 'enum', 'not'].every((key) => schema[key] === undefined)
  )
}

export const ROOT_RULE =
  "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
