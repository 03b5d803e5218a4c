/** Each fault, as the vendors' own SDKs see it: the classes and messages of the real one (PITFALLS.md, Streams). */
import Anthropic, { APIConnectionError, APIError, APIUserAbortError } from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { FaultInput } from '../../dev/scripted-model/script'
import { anthropic, closeAll, collect, failure, openai, serve, until, user } from './support'

afterEach(closeAll)

const TEXT = 'one two three four'
const withFault = (fault: FaultInput) => serve([{ say: { text: TEXT, fault } }])
const claude = { model: 'claude-x', max_tokens: 100, messages: [user('hi')] }
const gpt = { model: 'gpt-x', messages: [user('hi')] }

describe('a status instead of an answer', () => {
  it('429 with retry-after, in both vendors words', async () => {
    const server = await withFault({ kind: 'status', status: 429, retryAfter: 7, times: 2 })
    const a = await failure(anthropic(server).messages.create(claude))
    expect(a).toBeInstanceOf(Anthropic.RateLimitError)
    expect((a as APIError).type).toBe('rate_limit_error')
    expect((a as APIError).headers?.get('retry-after')).toBe('7')
    const o = await failure(openai(server).chat.completions.create(gpt))
    expect(o).toBeInstanceOf(OpenAI.RateLimitError)
    expect(o).toMatchObject({ code: 'rate_limit_exceeded', status: 429 })
  })

  it('529 is overloaded; a client that retries gets its answer, and each try is counted', async () => {
    const server = await withFault({ kind: 'status', status: 529, retryAfter: 0, times: 2 })
    const once = await failure(anthropic(server).messages.create(claude))
    expect(once).toMatchObject({ status: 529, type: 'overloaded_error' })
    const message = await anthropic(server, 2).messages.create(claude)
    expect(message.content).toMatchObject([{ text: TEXT }])
    await until('all are over', () => server.requests.every((r) => r.whole !== null))
    expect(server.requests.map((r) => [r.status, r.fault, r.whole])).toEqual([
      [529, 'status', false],
      [529, 'status', false],
      [200, null, true],
    ])
    expect(new Set(server.requests.map((r) => r.hash)).size).toBe(1)
  })

  it('a body of the script goes out as it is', async () => {
    const body = { error: { code: 429, message: 'Provider returned error', metadata: { provider_name: 'Google' } } }
    const error = await failure(
      openai(await withFault({ kind: 'status', status: 429, body })).chat.completions.create(gpt),
    )
    expect(error).toMatchObject({ status: 429, error: body.error })
  })

  it('counts per conversation and per rule', async () => {
    const client = openai(await withFault({ kind: 'status', status: 500 }))
    const ask = (text: string) => client.chat.completions.create({ model: 'm', messages: [user(text)] })
    expect((await failure(ask('a'))).status).toBe(500)
    expect((await failure(ask('b'))).status).toBe(500)
    expect((await ask('a')).choices[0]?.message.content).toBe(TEXT)
  })
})

describe('a stream that does not come to its end', () => {
  const texts = async (server: { url: string }) => {
    const seen: string[] = []
    const error = await failure(
      (async () => {
        for await (const e of await anthropic(server).messages.create({ ...claude, stream: true }))
          if (e.type === 'content_block_delta' && e.delta.type === 'text_delta') seen.push(e.delta.text)
        return seen
      })(),
    )
    return { seen, error }
  }
  const chunks = async (server: { url: string }) => {
    const seen: string[] = []
    let finish: string | null = null
    let error: unknown = null
    try {
      for await (const chunk of await openai(server).chat.completions.create({ ...gpt, stream: true })) {
        if (chunk.choices[0]?.delta.content) seen.push(chunk.choices[0].delta.content)
        finish = chunk.choices[0]?.finish_reason ?? finish
      }
    } catch (thrown) {
      error = thrown
    }
    return { seen, finish, error }
  }

  it('cut: what came before it arrived, then "terminated"', async () => {
    const server = await withFault({ kind: 'cut', afterDeltas: 2, times: 2 })
    const { seen, error } = await texts(server)
    expect(seen).toEqual(['one', ' two'])
    expect(error.message).toBe('terminated')
    const chat = await chunks(server)
    expect(chat).toMatchObject({ seen: ['one', ' two'], finish: null, error: { message: 'terminated' } })
    await until('both are over', () => server.requests.every((r) => r.whole === false))
  })

  it('cut before anything: nothing but the opening arrives', async () => {
    expect((await texts(await withFault({ kind: 'cut' }))).seen).toEqual([])
  })

  it('a cut later than the last delta still leaves the answer without its end', async () => {
    const { seen, finish } = await chunks(await withFault({ kind: 'cut', afterDeltas: 99 }))
    expect(seen.join('')).toBe(TEXT)
    expect(finish).toBeNull()
  })

  it('clean end: the Anthropic SDK notices, the Chat stream only lacks its finish reason', async () => {
    const server = await withFault({ kind: 'clean_end', afterDeltas: 2, times: 2 })
    const error = await failure(anthropic(server).messages.stream(claude).finalMessage())
    expect(error.message).toBe('stream ended without producing a Message with role=assistant')
    expect(await chunks(server)).toEqual({ seen: ['one', ' two'], finish: null, error: null })
    await until('both are over', () => server.requests.every((r) => r.whole === false))
  })

  it('error event inside a 200', async () => {
    const server = await withFault({ kind: 'error_event', afterDeltas: 1, type: 'overloaded_error', times: 2 })
    const { seen, error } = await texts(server)
    expect(seen).toEqual(['one'])
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({ type: 'overloaded_error', status: undefined })
    const chat = await chunks(server)
    expect(chat).toMatchObject({ seen: ['one'], finish: null, error: { type: 'overloaded_error' } })
    expect(chat.error).toBeInstanceOf(OpenAI.APIError)
  })

  it.each<FaultInput>([
    { kind: 'cut', times: 2 },
    { kind: 'clean_end', times: 2 },
  ])('without streaming, $kind leaves half a body', async (fault) => {
    const server = await withFault(fault)
    await failure(anthropic(server).messages.create(claude))
    await failure(openai(server).chat.completions.create(gpt))
    expect(server.requests).toMatchObject([{ status: 200, fault: fault.kind }, { fault: fault.kind }])
  })

  it('without streaming, an error event is the status that it stands for', async () => {
    const server = await withFault({ kind: 'error_event', type: 'overloaded_error' })
    expect((await failure(anthropic(server).messages.create(claude))).status).toBe(529)
  })
})

describe('slow and silent', () => {
  it('slow: the first byte and the deltas take their time', async () => {
    const server = await withFault({ kind: 'slow', firstByteMs: 120, deltaMs: 40 })
    const start = Date.now()
    const stream = await anthropic(server).messages.create({ ...claude, stream: true })
    expect(Date.now() - start).toBeGreaterThanOrEqual(115)
    await collect(stream)
    expect(Date.now() - start).toBeGreaterThanOrEqual(115 + 4 * 39)
    await until('it counts as whole', () => server.requests[0]?.whole === true)
  })

  it('hang: nothing comes, until the client gives up', async () => {
    const server = await withFault({ kind: 'hang' })
    const error = await failure(anthropic(server).messages.create(claude, { timeout: 150 }))
    expect(error).toBeInstanceOf(APIConnectionError)
    await until('the server saw it go', () => server.requests[0]?.whole === false)
    expect(server.requests[0]?.status).toBeNull()
  })

  it('hang in mid-stream: silence after what came', async () => {
    const server = await withFault({ kind: 'hang', afterDeltas: 2 })
    const stream = anthropic(server).messages.stream(claude)
    const seen: string[] = []
    stream.on('text', (text) => {
      seen.push(text)
      if (seen.length === 2) setTimeout(() => stream.abort(), 50)
    })
    expect(await failure(stream.finalMessage())).toBeInstanceOf(APIUserAbortError)
    expect(seen).toEqual(['one', ' two'])
    await until('the server saw it go', () => server.requests[0]?.whole === false)
  })

  it('a client that leaves in mid-stream ends the answer, which is not whole', async () => {
    const server = await serve([{ say: { text: TEXT.repeat(500), deltaMs: 5 } }])
    const stream = anthropic(server).messages.stream(claude)
    stream.once('text', () => stream.abort())
    await failure(stream.finalMessage())
    await until('the server saw it go', () => server.requests[0]?.whole === false)
  })

  it('closing ends what hangs', async () => {
    const server = await withFault({ kind: 'hang' })
    const pending = failure(openai(server).chat.completions.create(gpt))
    await until('it is there', () => server.requests.length === 1)
    await server.close()
    expect(await pending).toBeInstanceOf(OpenAI.APIConnectionError)
  })
})

describe('set at run time', () => {
  it('by the handle: the next requests, then the script again', async () => {
    const server = await serve([{ say: { text: TEXT } }])
    server.fault({ kind: 'status', status: 503, times: 2 })
    const ask = () => openai(server).chat.completions.create(gpt)
    expect((await failure(ask())).status).toBe(503)
    expect((await failure(ask())).status).toBe(503)
    expect((await ask()).choices[0]?.message.content).toBe(TEXT)
    server.fault({ kind: 'status', status: 503, times: 99 })
    server.fault(null)
    expect((await ask()).choices[0]?.message.content).toBe(TEXT)
  })

  it('by POST /control, which says what is wrong with a fault', async () => {
    const server = await serve([{ say: { text: TEXT } }])
    const post = (body: unknown) => fetch(`${server.url}/control`, { method: 'POST', body: JSON.stringify(body) })
    expect((await post({ fault: { kind: 'status', status: 529 }, times: 1 })).status).toBe(200)
    expect((await failure(anthropic(server).messages.create(claude))).status).toBe(529)
    expect((await anthropic(server).messages.create(claude)).content).toMatchObject([{ text: TEXT }])
    const wrong = await post({ fault: { kind: 'status', status: 200 } })
    expect(wrong.status).toBe(400)
    expect(await wrong.text()).toContain('status')
    expect((await post({ times: 3 })).status).toBe(400)
    expect((await post({ fault: null })).status).toBe(200)
  })
})

it('serves 128 streams at once', async () => {
  const server = await serve([{ say: { bytes: 2_000, deltaMs: 1, deltaChars: 100 } }], { keepBodies: false })
  const client = anthropic(server)
  const messages = await Promise.all(
    Array.from({ length: 128 }, (_, i) =>
      client.messages.stream({ ...claude, messages: [user(`session ${i}`)] }).finalMessage(),
    ),
  )
  expect(messages.every(({ content: [block] }) => block?.type === 'text' && block.text.length === 2_000)).toBe(true)
  expect(server.requests).toHaveLength(128)
  expect(server.requests[0]).not.toHaveProperty('body')
})
