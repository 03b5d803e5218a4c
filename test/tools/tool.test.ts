/** What defineTool and runTool promise: specs that a definition takes, answers that a log takes, and never a throw. */
import { z } from 'zod'
import { ContentBlock } from '../../contract/blocks'
import { parseDefinition, ToolSpec } from '../../contract/definition'
import { SavefileError } from '../../contract/errors'
import { PAYLOADS } from '../../contract/events'
import { TOOL_OUTPUT_CHARS } from '../../contract/limits'
import type { Tool } from '../../contract/ports'
import { builtinSpecs, builtinTools } from '../../tools/builtin'
import { hostOf } from '../../tools/confinement'
import { ToolFailure } from '../../tools/failure'
import { runTool } from '../../tools/run-tool'
import { defineTool, toolSpec, type ToolAnswer } from '../../tools/tool'
import { newContext, removeFolders, textsOf, until } from './context'

afterAll(removeFolders)

const base = {
  name: 't',
  description: 'd',
  readOnly: true,
  idempotent: true,
  approval: 'allow',
  timeoutMs: 1_000,
  local: true,
} as const
const tool = (run: () => Promise<string | ToolAnswer>) => defineTool({ ...base, input: z.object({}), run })
const shouting = defineTool({
  ...base,
  input: z.object({
    word: z.string().min(2).describe('what to shout'),
    times: z.int().min(1).max(3).default(1),
    mood: z.enum(['glad', 'sad']).optional(),
  }),
  run: ({ word, times }) => Promise.resolve(word.toUpperCase().repeat(times)),
})

describe('a spec', () => {
  it('is JSON text with keywords in order, properties as written, a closed root, no $schema', () => {
    expect(shouting.spec.inputSchema).toBe(
      '{"additionalProperties":false,"properties":{' +
        '"word":{"description":"what to shout","minLength":2,"type":"string"},' +
        '"times":{"default":1,"maximum":3,"minimum":1,"type":"integer"},' +
        '"mood":{"enum":["glad","sad"],"type":"string"}},"required":["word"],"type":"object"}',
    )
  })

  it('of every built-in tool stands in a definition, with the flags that the laws need', () => {
    const tools = builtinSpecs()
    const definition = parseDefinition({ model: { provider: 'anthropic', name: 'm' }, tools })
    expect(definition.tools).toEqual(tools)
    expect(builtinTools(hostOf(process.env)).map((one) => one.spec)).toEqual(tools)
    const flags = Object.fromEntries(tools.map((t) => [t.name, [t.readOnly, t.idempotent, t.approval, t.local]]))
    expect(flags).toEqual({
      read_file: [true, true, 'allow', true],
      list_files: [true, true, 'allow', true],
      search_files: [true, true, 'allow', true],
      write_file: [false, true, 'allow', true],
      edit_file: [false, false, 'allow', true],
      run_command: [false, false, 'ask', false],
    })
  })

  it('of a deferred tool needs no run', () => {
    const spec = toolSpec({ ...base, input: z.object({ question: z.string() }), deferred: true, queue: 'people' })
    expect(ToolSpec.parse(spec)).toMatchObject({ deferred: true, queue: 'people' })
  })

  it('is refused where the name is no tool name', () => {
    expect(() => toolSpec({ ...base, name: 'a.b', input: z.object({}) })).toThrow(/letters, digits/)
  })
})

describe('arguments', () => {
  it.each([
    ['{"word":"hi"}', null],
    ['{"word":"hi"', /not valid JSON.*an object with word, times\?, mood\?/s],
    ['[]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['"x"', /must be a JSON object/],
    ['{}', /word: .*expected string/],
    ['{"word":"h"}', /word: .*>=2/],
    ['{"word":"hi","times":9}', /times: .*<=3/],
    ['{"word":"hi","loud":true}', /Unrecognized key: "loud"/],
    ['{"word":"hi","mood":"mad"}', /mood: .*"glad"\|"sad"/],
  ])('%s', async (args, problem) => {
    if (problem === null) return expect(shouting.problem(args)).toBeNull()
    expect(shouting.problem(args)).toMatch(problem)
    const result = await shouting.run(args, newContext())
    expect(result).toMatchObject({ outcome: 'error', code: 'invalid_arguments' })
    expect(textsOf(result)).toMatch(problem)
  })

  it('get their defaults', async () => {
    expect(textsOf(await shouting.run('{"word":"hi"}', newContext()))).toBe('HI')
  })
})

describe('what a tool gives back', () => {
  it('is normalised, and stands in an event', async () => {
    const result = await tool(() => Promise.resolve('a\0b\ud800')).run('{}', newContext())
    expect(result.blocks).toEqual([{ type: 'text', text: 'a\uFFFDb\uFFFD', normalised: 2 }])
    PAYLOADS.tool_finished.parse({ call: 'c', tool: 't', ...result })
  })

  it.each([
    [undefined],
    [7],
    [{ text: 1 }],
    [{ outcome: 'fine' }],
    [{ blocks: [{ type: 'tool_call' }] }],
    [{ txt: 'typo' }],
  ])('is refused where it is not an answer: %j', async (given) => {
    const result = await tool(() => Promise.resolve(given as unknown as string)).run('{}', newContext())
    expect(result).toMatchObject({ outcome: 'error', code: 'invalid_output' })
    expect(textsOf(result)).toContain('its own schema does not allow')
  })

  it('is checked against its schema, and becomes a structured block', async () => {
    const weather = (celsius: unknown) =>
      defineTool({
        ...base,
        input: z.object({}),
        output: z.object({ celsius: z.number() }),
        run: () => Promise.resolve({ celsius: celsius as number }),
      })
    expect(await weather(21).run('{}', newContext())).toEqual({
      outcome: 'ok',
      blocks: [{ type: 'structured', json: '{"celsius":21}' }],
    })
    const wrong = await weather('warm').run('{}', newContext())
    expect(wrong).toMatchObject({ outcome: 'error', code: 'invalid_output' })
    expect(textsOf(wrong)).toMatch(/celsius: .*expected number/)
  })

  it('is cut with head and tail, and the whole is kept', async () => {
    const long = `HEAD${'x'.repeat(100_000)}TAIL`
    const context = newContext()
    const result = await tool(() => Promise.resolve({ text: long, blocks: [{ type: 'text', text: '[note]' }] })).run(
      '{}',
      context,
    )
    const [text, file, note] = result.blocks
    if (text?.type !== 'text' || file?.type !== 'file') throw new Error('text and file expected')
    expect(text.text.length).toBeLessThanOrEqual(TOOL_OUTPUT_CHARS)
    expect(text.text).toMatch(
      /^HEADx+\n\[\.\.\. \d+ of 100008 characters left out; the whole is kept in the log \.\.\.\]\nx+TAIL$/,
    )
    const left = Number(/(\d+) of/.exec(text.text)![1])
    expect(text.text.replace(/\n\[.*\]\n/, '').length + left).toBe(long.length)
    expect(file).toMatchObject({
      name: 'full output',
      kept: true,
      blob: { bytes: long.length, mediaType: 'text/plain; charset=utf-8' },
    })
    expect(Buffer.from(context.blobs.get(file.blob.hash)!).toString()).toBe(long)
    expect(note).toEqual({ type: 'text', text: '[note]' })
    z.array(ContentBlock).parse(result.blocks)
  })

  it('is not cut in the middle of a character, and not lost where its whole cannot be kept', async () => {
    const context = { ...newContext(), writeBlob: () => Promise.reject(new Error('no database')) }
    const result = await tool(() => Promise.resolve('😀'.repeat(40_000))).run('{}', context)
    expect(result.blocks).toHaveLength(1)
    expect(result.blocks[0]).not.toHaveProperty('normalised')
    expect(textsOf(result)).toContain('the whole could not be kept')
  })

  it.each<[unknown, string, RegExp]>([
    [new ToolFailure('odd', 'do it so'), 'odd', /do it so/],
    [new SavefileError('too_large', 'smaller'), 'too_large', /smaller/],
    [
      Object.assign(new Error("ENOENT: no such file, open '/host/path'"), { code: 'ENOENT' }),
      'not_found',
      /^there is no such file or folder \(ENOENT\)$/,
    ],
    [new Error('broke'), 'failed', /broke/],
    ['a string', 'failed', /a string/],
    [null, 'failed', /without saying why/],
  ])('is an error where it throws: %s', async (thrown, code, text) => {
    const throwing = tool(() => Promise.reject(thrown))
    const result = await throwing.run('{}', newContext())
    expect(result).toMatchObject({ outcome: 'error', code })
    expect(textsOf(result)).toMatch(text)
  })
})

describe('runTool', () => {
  const waiting = (
    onAbort: (
      resolve: (answer: string | ToolAnswer) => void,
      reject: (error: unknown) => void,
      reason: unknown,
    ) => void,
  ) =>
    defineTool({
      ...base,
      timeoutMs: 200,
      input: z.object({}),
      run: (_, { signal, onOutput }) => {
        onOutput('part ')
        onOutput('one')
        return new Promise((resolve, reject) =>
          signal.addEventListener('abort', () => onAbort(resolve, reject, signal.reason)),
        )
      },
    })
  const rejecting = waiting((_, reject, reason) => reject(reason))

  it('a timeout is an error with what was streamed', async () => {
    const result = await runTool(rejecting, rejecting.spec, '{}', newContext())
    expect(result).toMatchObject({ outcome: 'error', code: 'timeout' })
    expect(textsOf(result)).toBe('part one\n[Stopped: it took longer than 0.2 s.]')
  })

  it('an abort from outside is cancelled, with what was streamed', async () => {
    const context = newContext()
    const running = runTool(rejecting, { timeoutMs: 60_000 }, '{}', context)
    await until(() => context.live.length === 2, 'it streams')
    context.abort()
    const result = await running
    expect(result.outcome).toBe('cancelled')
    expect(textsOf(result)).toBe('part one\n[Cancelled.]')
  })

  it('what a tool gives back as it is stopped counts: its own partial blocks, and a result that is one', async () => {
    const partial = waiting((resolve) => resolve({ text: 'own words', outcome: 'cancelled' }))
    expect(textsOf(await runTool(partial, partial.spec, '{}', newContext()))).toBe(
      'own words\n[Stopped: it took longer than 0.2 s.]',
    )
    const done = waiting((resolve) => resolve('done all the same'))
    expect(await runTool(done, done.spec, '{}', newContext())).toEqual({
      outcome: 'ok',
      blocks: [{ type: 'text', text: 'done all the same' }],
    })
    const failing = waiting((_, reject) => reject(new ToolFailure('half_done', 'half of it')))
    expect(await runTool(failing, failing.spec, '{}', newContext())).toMatchObject({
      outcome: 'error',
      code: 'half_done',
    })
  })

  it('one that does not stop is left behind, and its later output goes nowhere', async () => {
    let speak: (chunk: string) => void = () => undefined
    const deaf = defineTool({
      ...base,
      input: z.object({}),
      run: (_, { onOutput }) => {
        speak = onOutput
        return new Promise(() => undefined)
      },
    })
    const context = newContext()
    const result = await runTool(deaf, { timeoutMs: 50 }, '{}', context, 100)
    expect(result).toMatchObject({ outcome: 'error', code: 'timeout' })
    expect(textsOf(result)).toContain('it may still take effect')
    speak('late')
    expect(context.live).toEqual([])
  })

  it('nothing is begun once the signal is aborted', async () => {
    let began = false
    const context = newContext()
    context.abort()
    const never = tool(() => {
      began = true
      return Promise.resolve('x')
    })
    expect((await runTool(never, never.spec, '{}', context)).outcome).toBe('cancelled')
    expect(began).toBe(false)
  })

  it('a foreign Tool that throws is an error, too', async () => {
    const foreign: Tool = {
      name: 'f',
      problem: () => null,
      run: () => {
        throw new Error('at once')
      },
    }
    expect(await runTool(foreign, { timeoutMs: 1_000 }, '{}', newContext())).toMatchObject({
      outcome: 'error',
      code: 'failed',
    })
  })
})
