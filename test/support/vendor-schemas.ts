/**
 * Checks of what a request body may be, made from the types of the vendors' SDKs (which are generated from the vendors' own documents): types
 * to JSON Schemas, those to code. Made once and kept under node_modules/.cache, by the SDKs' versions; to compile them in every test file
 * would cost a second each.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type AjvClass from 'ajv'
import type { ValidateFunction } from 'ajv'
import type TS from 'typescript'
import { isRecord, list } from '../../dev/scripted-model/json'

type Schema = Record<string, unknown>
export type SchemaName = 'anthropic' | 'anthropic-beta' | 'openai-chat' | 'openai-responses'

/** Where each SDK says what it sends. */
const SOURCES: Record<SchemaName, { file: string; type: string }> = {
  anthropic: { file: '@anthropic-ai/sdk/resources/messages/messages.d.ts', type: 'MessageCreateParamsBase' },
  'anthropic-beta': {
    file: '@anthropic-ai/sdk/resources/beta/messages/messages.d.ts',
    type: 'MessageCreateParamsBase',
  },
  'openai-chat': {
    file: 'openai/resources/chat/completions/completions.d.ts',
    type: 'ChatCompletionCreateParamsBase',
  },
  'openai-responses': { file: 'openai/resources/responses/responses.d.ts', type: 'ResponseCreateParamsBase' },
}

const ROOT = path.join(__dirname, '..', '..')
const MODULES = path.join(ROOT, 'node_modules')
/** Loaded only where the schemas have to be made: it is large. */
const load = createRequire(__filename)

/** The check of one kind of body; all four are made where they are not there. */
export function vendorValidator(name: SchemaName): ValidateFunction {
  folder ??= validatorFolder()
  return load(path.join(folder, `${name}.cjs`)) as ValidateFunction
}

let folder: string | undefined

/** The folder with the four checks, made where it is not there. */
export function validatorFolder(): string {
  const key = createHash('sha256').update(readFileSync(__filename))
  for (const name of ['openai', '@anthropic-ai/sdk', 'typescript', 'ajv'])
    key.update(readFileSync(path.join(MODULES, name, 'package.json')))
  const cache = path.join(MODULES, '.cache', 'savefile')
  const kept = path.join(cache, `vendor-${key.digest('hex').slice(0, 16)}`)
  if (existsSync(kept)) return kept
  const mine = `${kept}.${process.pid}`
  mkdirSync(mine, { recursive: true })
  for (const [name, schema] of Object.entries(makeSchemas()))
    writeFileSync(path.join(mine, `${name}.cjs`), codeOf(schema))
  try {
    renameSync(mine, kept)
  } catch (error) {
    // Another run was faster: the same content.
    if (!existsSync(kept)) throw error
    rmSync(mine, { recursive: true })
  }
  return kept
}

function codeOf(schema: Schema): string {
  const Ajv = load('ajv').default as typeof AjvClass
  const standalone = load('ajv/dist/standalone').default as (ajv: AjvClass, validate: ValidateFunction) => string
  const ajv = new Ajv({ strict: false, validateFormats: false, code: { source: true } })
  return standalone(ajv, ajv.compile(schema))
}

function makeSchemas(): Record<SchemaName, Schema> {
  const ts = load('typescript') as typeof TS
  const files = Object.values(SOURCES).map(({ file }) => path.join(MODULES, file))
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    ...{ strict: true, skipLibCheck: true, noEmit: true, types: [] },
  })
  const schemas = Object.entries(SOURCES).map(([name, { file, type }]) => {
    const source = program.getSourceFile(path.join(MODULES, file))
    const checker = program.getTypeChecker()
    const module = source && checker.getSymbolAtLocation(source)
    const symbol = module && checker.getExportsOfModule(module).find((exported) => exported.name === type)
    if (!symbol) throw new Error(`${file} exports no ${type} any more`)
    const schema = schemaOf(ts, checker, checker.getDeclaredTypeOfSymbol(symbol))
    for (const change of WIDER[name as SchemaName] ?? []) widen(schema, change)
    return [name, schema]
  })
  return Object.fromEntries(schemas) as Record<SchemaName, Schema>
}

function schemaOf(ts: typeof TS, checker: TS.TypeChecker, root: TS.Type): Schema {
  const names = new Map<TS.Type, string>()
  const definitions: Record<string, Schema> = {}

  const reference = (type: TS.Type): Schema => {
    let name = names.get(type)
    if (name === undefined) {
      name = `${type.aliasSymbol?.name ?? type.symbol.name}_${names.size}`
      names.set(type, name)
      definitions[name] = objectSchema(type)
    }
    return { $ref: `#/definitions/${name}` }
  }

  const schema = (type: TS.Type): Schema => {
    if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {}
    if (type.flags & ts.TypeFlags.Null) return { type: 'null' }
    if (type.isStringLiteral() || type.isNumberLiteral()) return { const: type.value }
    if (type.flags & ts.TypeFlags.BooleanLiteral) return { const: checker.typeToString(type) === 'true' }
    if (type.flags & ts.TypeFlags.String) return { type: 'string' }
    if (type.flags & ts.TypeFlags.Number) return { type: 'number' }
    if (type.flags & ts.TypeFlags.Boolean) return { type: 'boolean' }
    if (type.isUnion()) return unionSchema(type.types)
    // `string & {}`: any string, beside those that an editor is to offer.
    if (type.isIntersection() && type.types.some((part) => part.flags & ts.TypeFlags.String)) return { type: 'string' }
    if (checker.isArrayType(type)) {
      const [item] = checker.getTypeArguments(type as TS.TypeReference)
      return { type: 'array', items: item ? schema(item) : {} }
    }
    return reference(type)
  }

  const unionSchema = (types: TS.Type[]): Schema => {
    const given = types.filter((type) => !(type.flags & ts.TypeFlags.Undefined))
    const values = given.flatMap((type) => (type.isStringLiteral() || type.isNumberLiteral() ? [type.value] : []))
    const rest = given.filter((type) => !type.isStringLiteral() && !type.isNumberLiteral()).map(branch)
    const all = [...(values.length > 0 ? [{ enum: values }] : []), ...rest]
    const [only] = all
    return all.length === 1 && only ? only : { anyOf: all }
  }

  /** Its tag first: a branch that is not meant is left at once, and what is wrong is told of the one that is. */
  const branch = (type: TS.Type): Schema => {
    for (const name of type.isClassOrInterface() ? ['type', 'role'] : []) {
      const property = checker.getPropertyOfType(type, name)
      const value = property && checker.getNonNullableType(checker.getTypeOfSymbol(property))
      if (!property || !value?.isStringLiteral()) continue
      const required = property.flags & ts.SymbolFlags.Optional ? [] : [name]
      return { allOf: [{ properties: { [name]: { const: value.value } }, required }, schema(type)] }
    }
    return schema(type)
  }

  const objectSchema = (type: TS.Type): Schema => {
    const properties: Record<string, Schema> = {}
    const required: string[] = []
    for (const property of checker.getPropertiesOfType(type)) {
      const about = ts.displayPartsToString(property.getDocumentationComment(checker))
      // The SDKs put these into headers.
      if (about.startsWith('Header param')) continue
      properties[property.name] = schema(checker.getTypeOfSymbol(property))
      if (!(property.flags & ts.SymbolFlags.Optional)) required.push(property.name)
    }
    const index = checker.getIndexInfoOfType(type, ts.IndexKind.String)
    return {
      ...{ type: 'object', properties, required },
      additionalProperties: index ? schema(index.type) : false,
    }
  }

  return { ...reference(root), definitions }
}

interface Wider {
  /** The type whose schema it is, as the SDK calls it. */
  type: string
  optional?: string[]
  nullable?: string[]
  why: string
}

/** What a vendor takes although its types do not say so. */
const WIDER: Partial<Record<SchemaName, Wider[]>> = {
  'openai-responses': [
    {
      ...{ type: 'ResponseFunctionToolCall', nullable: ['status'] },
      why: 'recorded with 200: tool-2-output',
    },
    {
      ...{ type: 'ResponseReasoningItem', optional: ['id'] },
      why: 'openai/codex sends none; without ids nothing is paired (PITFALLS)',
    },
    {
      ...{ type: 'ResponseOutputMessage', optional: ['id', 'status'] },
      why: 'openai/openai-python 3544, epam/ai-dial-adapter-openai 511: an answer of another vendor has no id',
    },
    {
      ...{ type: 'ResponseOutputText', optional: ['annotations', 'logprobs'] },
      why: 'the same',
    },
  ],
}

function widen(schema: Schema, { type, optional = [], nullable = [] }: Wider): void {
  const definitions = isRecord(schema.definitions) ? schema.definitions : {}
  const found = Object.entries(definitions).filter(([name]) => name.replace(/_\d+$/, '') === type)
  if (found.length === 0) throw new Error(`the SDK has no ${type} any more: look at WIDER again`)
  for (const [, definition] of found) {
    if (!isRecord(definition) || !isRecord(definition.properties)) continue
    definition.required = list(definition.required).filter((name) => !optional.includes(String(name)))
    for (const name of nullable)
      definition.properties[name] = { anyOf: [definition.properties[name], { type: 'null' }] }
  }
}
