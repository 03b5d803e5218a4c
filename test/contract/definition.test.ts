import { isSafe, parseDefinition, toolNamed, type DefinitionInput } from '../../contract/definition'
import { ERROR_CODES, errorCode, SavefileError } from '../../contract/errors'
import { DEFINITION_INPUT } from './given'

const model = { provider: 'anthropic', name: 'm' } as const
const tool = { name: 'pay', description: 'pays', inputSchema: '{"type":"object"}' }

describe('a definition', () => {
  it('needs only a model; limits, and asking before a tool runs, are on by default', () => {
    expect(parseDefinition({ model, tools: [tool] })).toEqual({
      v: 1,
      system: '',
      model: { ...model, maxOutputTokens: 8192, silenceMs: 120_000 },
      tools: [
        {
          ...tool,
          readOnly: false,
          idempotent: false,
          approval: 'ask',
          timeoutMs: 120_000,
          local: false,
          deferred: false,
        },
      ],
      limits: { steps: 100, tokens: 5_000_000, usdMicros: 10_000_000, seconds: 86_400 },
    })
  })
  it('is the same when it is read again', () => {
    const once = parseDefinition(DEFINITION_INPUT)
    expect(parseDefinition(JSON.parse(JSON.stringify(once)))).toEqual(once)
  })
  it.each<[string, unknown, string, string]>([
    ['nothing', undefined, '(definition)', 'expected object'],
    ['a text', 'gpt', '(definition)', 'expected object'],
    ['no model', {}, 'model', 'expected object'],
    ['no name of a model', { model: { provider: 'anthropic' } }, 'model.name', 'expected string'],
    ['a provider that there is not', { model: { provider: 'antropic', name: 'm' } }, 'model.provider', 'openai-chat'],
    ['a field that there is not', { model, temperature: 1 }, '(definition)', 'temperature'],
    ['an address of a provider', { model: { ...model, baseUrl: 'http://x' } }, 'model', 'baseUrl'],
    ['another version', { v: 2, model }, 'v', 'expected 1'],
    ['a temperature out of range', { model: { ...model, temperature: 3 } }, 'model.temperature', '<=2'],
    [
      'a tool name with a dot',
      { model, tools: [{ ...tool, name: 'a.b' }] },
      'tools.0.name',
      'must be 1 to 64 of letters',
    ],
    [
      'a schema that is not JSON',
      { model, tools: [{ ...tool, inputSchema: '{' }] },
      'tools.0.inputSchema',
      'root is {"type":"object"',
    ],
    [
      'a schema whose root is a list',
      { model, tools: [{ ...tool, inputSchema: '{"type":"array"}' }] },
      'tools.0.inputSchema',
      'root is',
    ],
    ['two tools of one name', { model, tools: [tool, tool] }, 'tools', 'tool names must differ'],
    [
      'an approval rule that there is not',
      { model, tools: [{ ...tool, approval: 'maybe' }] },
      'tools.0.approval',
      'allow',
    ],
    ['a limit of nothing', { model, limits: { steps: 0 } }, 'limits.steps', '>0'],
    ['half a step', { model, limits: { steps: 1.5 } }, 'limits.steps', 'int'],
  ])('with %s is refused: which field, and what would be right', (_what, input, field, right) => {
    let caught: unknown
    try {
      parseDefinition(input)
    } catch (error) {
      caught = error
    }
    expect(errorCode(caught)).toBe('invalid_definition')
    const { message, data } = caught as SavefileError
    expect(data.problems).toContainEqual({ field, problem: expect.stringContaining(right) })
    expect(message).toContain(`  ${field}: `)
  })
  it('names every wrong field at once', () => {
    const input = { model: { provider: 'x', name: '' }, limits: { steps: -1 } }
    expect(() => parseDefinition(input)).toThrow(/model\.provider: .*\n {2}model\.name: .*\n {2}limits\.steps: /)
  })
})

describe('tools of a definition', () => {
  it('are found by their name, and by nothing else', () => {
    const definition = parseDefinition({ model, tools: [tool] } satisfies DefinitionInput)
    expect(toolNamed(definition, 'pay')?.description).toBe('pays')
    expect(toolNamed(definition, 'constructor')).toBeUndefined()
  })
  it('are safe to run again only where they say so', () => {
    expect(
      [true, false].flatMap((readOnly) => [true, false].map((idempotent) => isSafe({ readOnly, idempotent }))),
    ).toEqual([true, true, true, false])
  })
})

describe('error codes', () => {
  it('are matched by name and code, so that they survive another realm', () => {
    expect(errorCode({ name: 'SavefileError', code: 'timeout' })).toBe('timeout')
    for (const other of [
      null,
      undefined,
      'timeout',
      new Error('timeout'),
      { code: 'timeout' },
      { name: 'SavefileError', code: 'nope' },
    ])
      expect(errorCode(other)).toBeUndefined()
  })
  it('are not given twice', () => expect(new Set(ERROR_CODES).size).toBe(ERROR_CODES.length))
})
