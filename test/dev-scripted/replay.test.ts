/** Signed reasoning that comes back: what it is bound to, and how each vendor refuses it. */
import type { MessageParam } from '@anthropic-ai/sdk/resources/messages'
import type { ResponseInput } from 'openai/resources/responses/responses'
import type { Json } from '../../dev/scripted-model/json'
import type { ScriptInput } from '../../dev/scripted-model/script'
import { startScriptedModel } from '../../dev/scripted-model/server'
import { anthropic, closeAll, failure, openai, serve, user } from './support'

afterEach(closeAll)

const RULES: ScriptInput['rules'] = [
  { when: { step: 0 }, say: { reasoning: 'hm {{last_user}}', calls: [{ tool: 't' }] } },
  { say: { reasoning: 'so {{last_user}}', text: 'done' } },
]
const scripted = (rest: Partial<ScriptInput>) => serve([], { script: { name: 'of-a-test', rules: RULES, ...rest } })

describe('Anthropic', () => {
  const ask = (messages: MessageParam[], rest: Json = {}) =>
    ({ model: 'claude-x', max_tokens: 2000, system: 'Be brief.', messages, ...rest }) as never

  /** A turn of two steps and the next person's message: three answers, two of them with thinking that comes back. */
  async function history({ url }: { url: string }, rest: Json = {}): Promise<MessageParam[]> {
    const client = anthropic({ url })
    const messages: MessageParam[] = [user('go')]
    for (const next of [[{ type: 'tool_result', tool_use_id: '', content: 'r' }], 'and?'] as const) {
      const { content } = (await client.messages.create(ask(messages, rest))) as unknown as { content: Json[] }
      const id = content.find((block) => block.type === 'tool_use')?.id
      messages.push({ role: 'assistant', content: content as never })
      messages.push({
        role: 'user',
        content: typeof next === 'string' ? next : [{ ...next[0], tool_use_id: String(id) }],
      })
    }
    return messages
  }

  const thinkingOf = (messages: MessageParam[], i: number) => (messages[i]?.content as unknown as Json[])[0] as Json
  const changed = (messages: MessageParam[], change: (copy: MessageParam[]) => void) => {
    const copy = structuredClone(messages)
    change(copy)
    return copy
  }

  it('is taken as it was given out: after a restart too, and with cache marks', async () => {
    const messages = await history(await scripted({}))
    const again = await scripted({})
    const marked = changed(messages, (copy) => {
      copy[0] = { role: 'user', content: [{ type: 'text', text: 'go', cache_control: { type: 'ephemeral' } }] }
    })
    expect((await anthropic(again).messages.create(ask(marked))).stop_reason).toBe('tool_use')
  })

  it('is taken without what stood at the beginning', async () => {
    const server = await scripted({})
    const messages = changed(await history(server), (copy) => void (copy[1]?.content as unknown[]).shift())
    expect((await anthropic(server).messages.create(ask(messages))).content).toHaveLength(2)
  })

  const BOUND =
    'messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'

  it.each<[string, (copy: MessageParam[]) => void, Json, string]>([
    ['changed, in the latest assistant message', (m) => (thinkingOf(m, 3).thinking = 'ha'), {}, 'cannot be modified'],
    [
      'changed, earlier',
      (m) => (thinkingOf(m, 1).thinking = 'ha'),
      {},
      'messages.1.content.0: Invalid `signature` in `thinking` block"',
    ],
    ['of another vendor', (m) => (thinkingOf(m, 1).signature = 'EqEECkYICxgC'), {}, 'Invalid `signature`'],
    ['of another model', () => {}, { model: 'claude-y' }, 'Invalid `signature`'],
    ['under another system prompt', () => {}, { system: 'Be long.' }, BOUND.replaceAll('"', '\\"')],
    [
      'with other tools',
      () => {},
      { tools: [{ name: 't', input_schema: { type: 'object' } }] },
      'different conversation',
    ],
    ['under a changed earlier message', (m) => (m[0] = user('stop')), {}, 'messages.1.content.0: Invalid'],
    [
      'after a changed result',
      (m) => ((m[2]?.content as unknown as Json[])[0] = { ...(m[2]?.content as unknown as Json[])[0], content: 'q' }),
      {},
      'messages.3.content.0: Invalid',
    ],
  ])('is refused %s', async (_what, change, rest, message) => {
    const server = await scripted({})
    const messages = changed(await history(server), change)
    const error = await failure(anthropic(server).messages.create(ask(messages, rest)))
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error' })
    expect(error.message).toContain(message)
  })

  it('is refused where one between others was left out', async () => {
    const server = await scripted({})
    const client = anthropic(server)
    const messages = await history(server)
    const { content } = await client.messages.create(ask(messages))
    const id = content.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []))[0] ?? ''
    messages.push({ role: 'assistant', content })
    messages.push({ role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'r' }] })
    expect((await client.messages.create(ask(messages))).stop_reason).toBe('end_turn')
    const gap = changed(messages, (copy) => void (copy[3]?.content as unknown[]).shift())
    expect((await failure(client.messages.create(ask(gap)))).message).toContain('messages.5.content.0: Invalid')
  })

  it('is left out on request, with the beta header', async () => {
    const server = await scripted({})
    const messages = await history(server)
    const drop = { thinking: { type: 'adaptive', block_binding: { prefix_mismatch_behavior: 'drop_block' } } }
    const body = ask(messages, { ...drop, system: 'Be long.' })
    expect((await failure(anthropic(server).messages.create(body))).message).toContain('block_binding: Extra inputs')
    const headers = { 'anthropic-beta': 'thinking-binding-controls-2026-08-01' }
    expect((await anthropic(server).messages.create(body, { headers })).stop_reason).toBe('tool_use')
  })

  it.each<[ScriptInput['bindReplay'], Json, boolean]>([
    ['model', { system: 'Be long.' }, true],
    ['model', { model: 'claude-y' }, false],
    ['none', { model: 'claude-y' }, true],
  ])('bound to %s, with %j: taken is %s', async (bindReplay, rest, taken) => {
    const server = await scripted({ bindReplay })
    const ended = anthropic(server).messages.create(ask(await history(server), rest))
    await expect(
      ended.then(
        () => true,
        () => false,
      ),
    ).resolves.toBe(taken)
  })

  it('display omitted gives a signature over no text; redacted gives data; both come back', async () => {
    const omitted = await scripted({})
    const display = { thinking: { type: 'adaptive', display: 'omitted' } }
    const messages = await history(omitted, display)
    expect(thinkingOf(messages, 1)).toMatchObject({
      type: 'thinking',
      thinking: '',
      signature: expect.stringMatching(/^scripted-/),
    })
    expect((await anthropic(omitted).messages.create(ask(messages, display))).stop_reason).toBe('tool_use')
    const redacted = await serve([{ say: { reasoning: 'hm', redacted: true, text: 'x' } }])
    const client = anthropic(redacted)
    const said = await client.messages.stream(ask([user('go')])).finalMessage()
    expect(said.content[0]).toMatchObject({ type: 'redacted_thinking', data: expect.any(String) })
    const on: MessageParam[] = [user('go'), { role: 'assistant', content: said.content }, user('and?')]
    expect((await client.messages.create(ask(on))).content).toHaveLength(2)
    on[1] = {
      role: 'assistant',
      content: [{ type: 'redacted_thinking', data: 'EvgFCkYIBxgCKkBm' }, ...said.content.slice(1)],
    }
    expect((await failure(client.messages.create(ask(on)))).message).toContain('in `redacted_thinking` block')
  })

  it('a thinking budget makes it think, whatever the script says; a tool turn without is refused', async () => {
    const server = await serve([{ when: { step: 0 }, say: { calls: [{ tool: 't' }] } }, { say: { text: 'x' } }])
    const thinking = { thinking: { type: 'enabled', budget_tokens: 1024 } }
    const messages = await history(server, thinking)
    expect((await anthropic(server).messages.create(ask(messages.slice(0, 3), thinking))).content).toHaveLength(2)
    const bare = changed(messages.slice(0, 3), (copy) => void (copy[1]?.content as unknown[]).shift())
    expect((await failure(anthropic(server).messages.create(ask(bare, thinking)))).message).toContain(
      'messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.',
    )
    expect((await anthropic(server).messages.create(ask(bare))).stop_reason).toBe('end_turn')
    const adaptive = { thinking: { type: 'adaptive' } }
    expect((await anthropic(server).messages.create(ask(bare, adaptive))).stop_reason).toBe('end_turn')
  })

  it('what was not issued here counts as good where the server is told so', async () => {
    const server = await startScriptedModel({ script: { name: 'x', rules: RULES }, trustReplay: true })
    const block = { type: 'thinking', thinking: 'x', signature: 'EqEECkYICxgC' }
    const messages = [user('go'), { role: 'assistant', content: [block, { type: 'text', text: 'x' }] }, user('and?')]
    expect((await anthropic(server).messages.create(ask(messages as never))).stop_reason).toBe('tool_use')
    await server.close()
  })
})

describe('OpenAI', () => {
  const ask = (input: unknown[], rest: object = {}) =>
    ({ model: 'gpt-x', store: false, instructions: 'Be brief.', input, ...rest }) as never

  async function history({ url }: { url: string }): Promise<ResponseInput> {
    const { output } = (await openai({ url }).responses.create(ask([user('go')]))) as unknown as { output: Json[] }
    const call = output.find((item) => item.type === 'function_call')
    return [
      user('go'),
      ...(output as unknown as ResponseInput),
      { type: 'function_call_output', call_id: String(call?.call_id), output: 'r' },
    ]
  }
  const bare = (input: ResponseInput) =>
    input.map((item) => {
      const { id: _id, status: _status, ...rest } = item as unknown as Json
      return rest
    })

  it.each<[ScriptInput['bindReplay'], object, boolean]>([
    [undefined, {}, true],
    [undefined, { instructions: 'Be long.' }, true],
    [undefined, { model: 'gpt-y' }, false],
    ['prefix', {}, true],
    ['prefix', { instructions: 'Be long.' }, false],
    ['none', { model: 'gpt-y' }, true],
  ])('bound to %s, with %j: taken is %s, with ids and without', async (bindReplay, rest, taken) => {
    const server = await scripted({ ...(bindReplay ? { bindReplay } : {}) })
    const input = await history(server)
    for (const sent of [input, bare(input)]) {
      const error = await openai(server)
        .responses.create(ask(sent, rest))
        .then(
          () => null,
          (thrown: unknown) => thrown,
        )
      if (taken) expect(error).toBeNull()
      else expect(error).toMatchObject({ status: 400, code: 'invalid_encrypted_content' })
    }
  })
})
