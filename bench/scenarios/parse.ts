/**
 * A recorded stream parsed into blocks by the adapter, against the vendor's SDK alone over the same bytes: the message that it makes of them;
 * and, as the least there can be, its events, read and thrown away. In turns, over a fetch that answers from memory; CPU of this process. The
 * adapter's side has the request's encoding and its hash in it.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { ModelSpec, type ProviderName } from '../../contract/definition'
import type { Provider } from '../../contract/provider-port'
import { packageRoot } from '../../dev/own-files'
import { createAnthropic } from '../../providers/anthropic/provider'
import { createOpenAIChat } from '../../providers/openai-chat/provider'
import { createOpenAIResponses } from '../../providers/openai-responses/provider'
import type { Fetch } from '../../providers/watched-fetch'
import { atMost, type Options, type Outcome } from '../scenario'
import { mean, percentile, round } from '../stats'

const FIXTURES = path.join(packageRoot(), 'test', 'fixtures', 'wire')
/** As much as a socket gives at once, when a model answers quickly. */
const CHUNK_BYTES = 2048
const LIMIT = 1.25

type Ms = 'eventsMs' | 'messageMs' | 'blocksMs'
type Read = (fetch: Fetch) => Promise<AsyncIterable<unknown>>
interface Vendor {
  create: (options: { apiKey: string; fetch: Fetch }) => Provider
  /** The SDK alone: its events. */
  read: Read
  /** The SDK alone: what it makes of them. */
  whole: (fetch: Fetch) => Promise<unknown>
  streams: string[]
}

const messages = [{ role: 'user' as const, content: 'hi' }]
const settings = { apiKey: 'none', maxRetries: 0, logLevel: 'off' as const }
const VENDORS: Readonly<Record<ProviderName, Vendor>> = {
  anthropic: {
    create: createAnthropic,
    read: (fetch) =>
      new Anthropic({ ...settings, fetch }).messages.create({ model: 'm', max_tokens: 1, messages, stream: true }),
    whole: (fetch) =>
      new Anthropic({ ...settings, fetch }).messages.stream({ model: 'm', max_tokens: 1, messages }).finalMessage(),
    streams: ['anthropic/stream-thinking.json', 'anthropic/stream-pause-turn-2-resume.json'],
  },
  'openai-chat': {
    create: createOpenAIChat,
    read: (fetch) => new OpenAI({ ...settings, fetch }).chat.completions.create({ model: 'm', messages, stream: true }),
    whole: (fetch) =>
      new OpenAI({ ...settings, fetch }).chat.completions.stream({ model: 'm', messages }).finalChatCompletion(),
    streams: ['chat/deepseek-stream-reasoning.json', 'chat/stream-tools-3-structured.json'],
  },
  'openai-responses': {
    create: createOpenAIResponses,
    read: (fetch) => new OpenAI({ ...settings, fetch }).responses.create({ model: 'm', input: 'hi', stream: true }),
    whole: (fetch) => new OpenAI({ ...settings, fetch }).responses.stream({ model: 'm', input: 'hi' }).finalResponse(),
    streams: ['responses/stream-phase-reasoning.json', 'responses/stream-text.json'],
  },
}

function answering(bytes: Uint8Array): Fetch {
  return () => {
    let at = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) return controller.close()
        controller.enqueue(bytes.subarray(at, (at += CHUNK_BYTES)))
      },
    })
    return Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
  }
}

async function floor(vendor: Vendor, fetch: Fetch): Promise<void> {
  for await (const _ of await vendor.read(fetch));
}

async function ours(provider: Provider, model: ModelSpec): Promise<void> {
  const view = {
    system: '',
    tools: [],
    entries: [{ role: 'user' as const, seq: 1, actor: 'user:bench', blocks: [{ type: 'text' as const, text: 'hi' }] }],
  }
  const blob = (): Promise<never> => Promise.reject(new Error('no blobs'))
  const context = { signal: new AbortController().signal, onDelta: () => undefined }
  const result = await provider.call({ model, view, blob }, context)
  if (!result.ok || result.blocks.length === 0) throw new Error('the recorded stream was not read to its end')
}

async function cpuOf(times: number, run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < times; i++) await run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / times
}

export async function parse({ quick, say }: Options): Promise<Outcome> {
  const rounds = quick ? 3 : 15
  const measured: ({ provider: string; file: string; bytes: number } & Record<
    'toMessage' | 'toEvents' | Ms,
    number
  >)[] = []
  for (const [name, vendor] of Object.entries(VENDORS))
    for (const file of vendor.streams) {
      const exchange = JSON.parse(readFileSync(path.join(FIXTURES, file), 'utf8')) as { response: { sse: string } }
      const bytes = Buffer.from(exchange.response.sse)
      const fetch = answering(bytes)
      const provider = vendor.create({ apiKey: 'none', fetch })
      const model = ModelSpec.parse({ provider: name, name: 'm' })
      // Some tens of milliseconds a round.
      const times = Math.ceil((quick ? 200_000 : 1_000_000) / bytes.length)
      say(`parse: ${file}, ${bytes.length} bytes, ${rounds} rounds of ${times}`)
      const sides = [() => floor(vendor, fetch), () => vendor.whole(fetch), () => ours(provider, model)]
      for (const side of sides) await cpuOf(times, side)
      const ms: number[][] = [[], [], []]
      for (let n = 0; n < rounds; n++) for (const [i, side] of sides.entries()) ms[i]?.push(await cpuOf(times, side))
      const [events = [], message = [], blocks = []] = ms
      const against = (other: number[]): number =>
        round(
          percentile(
            blocks.map((of, n) => of / (other[n] ?? NaN)),
            0.5,
          ),
          2,
        )
      const [eventsMs = NaN, messageMs = NaN, blocksMs = NaN] = [events, message, blocks].map((all) =>
        round(mean(all), 3),
      )
      const ratios = { toMessage: against(message), toEvents: against(events) }
      measured.push({ provider: name, file, bytes: bytes.length, eventsMs, messageMs, blocksMs, ...ratios })
    }
  const figure = (what: string, key: 'toMessage' | 'toEvents') => {
    const all = measured.map((of) => `${path.basename(of.file, '.json')} ${of[key]}`).join(', ')
    return atMost(what, Math.max(...measured.map((of) => of[key])), LIMIT, '×', ` (${all})`)
  }
  return {
    figures: [
      figure('parse a stream into blocks, against the message that the SDK makes of it, CPU', 'toMessage'),
      figure('the same, against the SDK’s events, thrown away', 'toEvents'),
    ],
    data: { rounds, chunkBytes: CHUNK_BYTES, measured },
  }
}
