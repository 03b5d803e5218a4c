/** What holds for every wire; and that what vendors took passes, and what they refused does not. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { refusal } from '../../dev/scripted-model/refuse'
import type { Api } from '../../dev/scripted-model/conversation'
import { anthropic, closeAll, failure, openai, serve, user } from './support'

afterEach(closeAll)

it.each(['\0', '\ud800', 'a\udc00b'])('refuses text that no vendor takes: %j', async (bad) => {
  const server = await serve([])
  const a = anthropic(server).messages.create({ model: 'm', max_tokens: 5, messages: [user(bad)] })
  expect(await failure(a)).toMatchObject({ status: 400, type: 'invalid_request_error' })
  const o = openai(server).chat.completions.create({ model: 'm', messages: [user(bad)] })
  expect(await failure(o)).toMatchObject({ status: 400 })
  const r = openai(server).responses.create({ model: 'm', input: bad })
  expect(await failure(r)).toMatchObject({ status: 400 })
})

it('takes text that only looks like it', async () => {
  const message = await anthropic(await serve([])).messages.create({
    model: 'm',
    max_tokens: 5,
    messages: [user('\\ud800 \\u0000 😀')],
  })
  expect(message.role).toBe('assistant')
})

it('refuses what is longer than its context, in the words of each vendor', async () => {
  const server = await serve([], { script: { name: 'x', contextTokens: 100, rules: [] } })
  const [short, long] = ['x', 'x'.repeat(500)].map(user)
  const a = (message: unknown) => ({ model: 'm', max_tokens: 20, messages: [message] }) as never
  expect((await anthropic(server).messages.create(a(short))).role).toBe('assistant')
  expect(await failure(anthropic(server).messages.create(a(long)))).toMatchObject({
    ...{ status: 400, message: expect.stringMatching(/prompt is too long: \d+ tokens > 100 maximum/) },
  })
  const code = { status: 400, code: 'context_length_exceeded' }
  const ask = { model: 'm', messages: [long] } as never
  expect(await failure(openai(server).chat.completions.create(ask))).toMatchObject({ ...code, param: 'messages' })
  const input = { model: 'm', input: [long] } as never
  expect(await failure(openai(server).responses.create(input))).toMatchObject({ ...code, param: 'input' })
})

it('answers a model that there is not as each vendor does', async () => {
  const server = await serve([], { script: { name: 'x', models: ['m'], rules: [] } })
  expect((await openai(server).responses.create({ model: 'm', input: 'x' })).object).toBe('response')
  const claude = { model: 'claude-x', max_tokens: 20, messages: [user('x')] }
  expect(await failure(anthropic(server).messages.create(claude))).toMatchObject({
    status: 404,
    error: { type: 'error', error: { type: 'not_found_error', message: 'model: claude-x' } },
  })
  expect(await failure(openai(server).responses.create({ model: 'gpt-x', input: 'x' }))).toMatchObject({
    ...{ status: 400, code: 'model_not_found', param: 'model' },
    message: expect.stringMatching(/The requested model 'gpt-x' does not exist/) as string,
  })
  const chat = (model: string) => openai(server).chat.completions.create({ model, messages: [user('x')] })
  expect(await failure(chat('gpt-5-x'))).toMatchObject({ status: 404, code: 'model_not_found' })
  expect(await failure(chat('deepseek-x'))).toMatchObject({ status: 400, error: { message: 'Model Not Exist' } })
  expect(await failure(chat('a/b'))).toMatchObject({ status: 400, error: { message: 'a/b is not a valid model ID' } })
})

describe('recorded exchanges (test/fixtures/wire)', () => {
  const folder = path.join(__dirname, '..', 'fixtures', 'wire')
  const APIS: Record<string, Api> = { anthropic: 'anthropic', chat: 'openai-chat', responses: 'openai-responses' }
  interface Recorded {
    request: { body: unknown; url: string }
    response: { status: number; body?: { error?: Record<string, unknown> } }
  }
  const recorded = Object.entries(APIS).flatMap(([name, api]) =>
    readdirSync(path.join(folder, name)).map((file) => {
      const { request, response } = JSON.parse(readFileSync(path.join(folder, name, file), 'utf8')) as Recorded
      return { name: `${name}/${file}`, api, request, response, status: response.status }
    }),
  )
  const VERSION = { 'anthropic-version': '2026-10-21' }
  const judged = ({ api, request }: (typeof recorded)[number]) =>
    refusal(api, VERSION, Buffer.from(JSON.stringify(request.body)), request.body, { trustReplay: true })

  it('there are enough of them', () => expect(recorded.length).toBeGreaterThanOrEqual(70))

  it.each(recorded.filter((r) => r.status === 200))('takes $name, as the vendor did', (r) =>
    expect(judged(r)).toBeNull(),
  )

  // What they say of it: not every model's name is known here, and a 429 is no fault of the request.
  const COVERED = [
    'anthropic/error-400-effort.json',
    'chat/error-400-audio.json',
    'chat/error-400-system-role.json',
    'chat/error-400-web-search.json',
    'responses/deepseek-error-400-interleaved.json',
    'responses/error-400-temperature.json',
    'responses/error-400-unsupported-file.json',
    'responses/modified-history-2-error-400.json',
  ]

  it.each(recorded.filter((r) => COVERED.includes(r.name)))('refuses $name in the recorded words', (r) => {
    const found = judged(r)
    expect(found?.status).toBe(r.status)
    expect(found?.body.error).toEqual(r.response.body?.error)
  })

  it('covers every recorded 400', () =>
    expect(recorded.filter((r) => r.status === 400).map((r) => r.name)).toEqual(COVERED))
})
