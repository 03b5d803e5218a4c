/**
 * Qwen's real chat templates over what the chat adapter sends: they render, whatever the history, and hold all that was said, in its order.
 * As vLLM does it, arguments are parsed into objects first.
 */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { Template } from '@huggingface/jinja'
import fc from 'fast-check'
import type { View, ViewEntry } from '../../contract/provider-port'
import { wireArgs } from '../../providers/wire-names'
import { answer, call, result, said, spec, toChat, user, view, type Encoded } from './support/calls'
import { randomSession } from './support/random-session'
import type { Json } from './support/recorded'

const FOLDER = path.join(__dirname, '../fixtures/templates')
const TEMPLATES = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.jinja'))
  .map((file) => [file.replace('.jinja', ''), new Template(readFileSync(path.join(FOLDER, file), 'utf8'))] as const)
const PNG = { hash: `sha256:${'a'.repeat(64)}`, bytes: 3, mediaType: 'image/png' }
const blob = (): Promise<Uint8Array> => Promise.resolve(Buffer.from('long text'))
const model = spec('openai-chat', 'Qwen/Qwen3-8B', { compat: 'vllm' })
const sent = (v: View): Promise<Encoded> => toChat(v, model, blob, 'localhost')

type Call = { function: { name: string; arguments: unknown } }

function render(template: Template, { body }: Encoded): string {
  const messages = body.messages.map((message) => {
    const calls = message['tool_calls'] as Call[] | undefined
    if (!calls) return message
    const parsed = calls.map((c) => {
      const args = JSON.parse(String(c.function.arguments)) as unknown
      return { ...c, function: { ...c.function, arguments: args } }
    })
    return { ...message, tool_calls: parsed }
  })
  const kwargs = (body['chat_template_kwargs'] as Json | undefined) ?? {}
  return template.render({ messages, tools: body['tools'], add_generation_prompt: true, ...kwargs })
}

/** Where each of the texts stands, one after the other. */
function inOrder(prompt: string, texts: readonly string[]): void {
  let at = 0
  for (const text of texts) {
    const found = prompt.indexOf(text, at)
    expect([text, found >= 0]).toEqual([text, true])
    at = found + text.length
  }
}

const thought = (seq: number, blocks: Extract<ViewEntry, { role: 'assistant' }>['blocks']): ViewEntry => ({
  role: 'assistant',
  seq,
  blocks: [{ type: 'reasoning', text: 'hm-thought' }, ...blocks],
  replay: {
    provider: 'openai-chat',
    platform: 'localhost',
    model: model.name,
    format: 1,
    blocks: ['{"field":"reasoning_content"}'],
  },
})

const VIEWS: Record<string, [entries: ViewEntry[], texts: string[]]> = {
  'no message at all': [[], ['(The conversation goes on.)']],
  'a history that begins with the assistant': [[answer(1, said('Hello.'))], ['Hello.', '(The conversation goes on.)']],
  'parallel calls, their results, and a message that came meanwhile': [
    [
      user(1, 'go'),
      answer(2, said('I look.'), call('a', 'look', '{"at":"x-one"}'), call('b', 'look', '{"at":{"deep":[1]}}')),
      result(3, ['a', 'b'], 'r-done'),
      user(5, 'hurry'),
    ],
    ['go', 'I look.', 'x-one', 'deep', 'r-done', 'r-done', 'hurry'],
  ],
  'calls without a word, and nothing after their results': [
    [user(1, 'go'), answer(2, call('a')), result(3, ['a'], 'r-done')],
    ['go', 'look', 'r-done'],
  ],
  'arguments that are no object': [
    [user(1, 'go'), answer(2, call('a', 'look', '[1'), call('b', 'look', '"text"')), result(3, ['a', 'b'])],
    ['_invalid', '[1', '_invalid'],
  ],
  'a model that thinks between its calls': [
    [user(1, 'go'), thought(2, [call('a')]), result(3, ['a'], 'r-done'), thought(4, [said('so')]), user(5, 'and?')],
    ['go', 'r-done', 'so', 'and?'],
  ],
  'a summary, then results of a step that stays': [
    [{ ...user(9, '[summary]'), actor: 'system' } as ViewEntry, answer(10, call('a')), result(11, ['a'], 'r-done')],
    ['[summary]', 'r-done'],
  ],
  'blank texts and long ones': [
    [
      user(1, ' '),
      answer(2, said('')),
      {
        role: 'user',
        seq: 3,
        actor: 'user:ann',
        blocks: [{ type: 'text', text: '', blob: { ...PNG, mediaType: 'text/plain' } }],
      },
    ],
    ['(no text)', '(no text)', 'long text'],
  ],
}

describe.each(TEMPLATES)('%s', (name, template) => {
  test.each(Object.entries(VIEWS))('%s', async (_what, [entries, texts]) => {
    const encoded = await sent(view(...entries))
    expect(encoded.problems).toEqual([])
    const prompt = render(template, encoded)
    expect(prompt.indexOf('Be brief.')).toBeGreaterThanOrEqual(0)
    inOrder(prompt, texts)
    expect(prompt).toMatch(/<\|im_start\|>assistant\n[^|]*$/)
  })

  test('without a system prompt and tools', async () => {
    const prompt = render(template, await sent({ system: '', tools: [], entries: [user(1, 'hi')] }))
    inOrder(prompt, ['hi', 'assistant'])
    expect(prompt).not.toContain('# Tools')
  })

  test('every random history', async () => {
    const choices = fc.array(fc.noBias(fc.nat(100_000)), { minLength: 30, maxLength: 120 })
    await fc.assert(
      fc.asyncProperty(choices, async (list) => {
        const { due, requests } = randomSession(list)
        const v = due ?? requests.at(-1)?.view
        if (!v) return
        const encoded = await sent(v)
        const prompt = render(template, encoded)
        const texts = encoded.body.messages.flatMap((m) => {
          const calls = (m['tool_calls'] as Call[] | undefined) ?? []
          return [
            ...(typeof m['content'] === 'string' ? [m['content'].trim()] : []),
            ...calls.map((c) => c.function.name),
          ]
        })
        // Those with tools write the system prompt behind a text of their own, and some put texts of the system between the messages.
        inOrder(prompt, name.startsWith('Qwen3-Coder') ? texts.slice(1) : texts)
      }),
      { numRuns: 40 },
    )
  })
})

test('effort none: the template that can think is told not to', async () => {
  const quiet = { ...model, reasoning: { effort: 'none' as const } }
  const encoded = await toChat(view(user(1, 'hi')), quiet, blob, 'localhost')
  const thinking = new Map(TEMPLATES).get('Qwen3.5-4B') as Template
  expect(render(thinking, encoded)).toMatch(/<think>\n\n<\/think>\n\n$/)
})

test('images stand where the template has a place for them', async () => {
  const look: ViewEntry = {
    role: 'user',
    seq: 1,
    actor: 'user:ann',
    blocks: [
      { type: 'text', text: 'see' },
      { type: 'image', blob: PNG },
    ],
  }
  const prompt = render(new Map(TEMPLATES).get('Qwen3.5-4B') as Template, await sent(view(look)))
  inOrder(prompt, ['see', '<|image_pad|>'])
})

test('what is sent for arguments is always an object', () => {
  for (const args of ['{"a":1}', '{', 'null', '']) expect(typeof JSON.parse(wireArgs(args))).toBe('object')
})
