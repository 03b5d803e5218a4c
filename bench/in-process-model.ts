/**
 * A model without a network, loaded into a worker's process before the worker (worker.ts): what the real adapter sends to BENCH_MODEL_URL is answered in the same
 * process, over the same wire. Its own time is then next to nothing (said at exit), and no other process competes for the cores.
 *
 * A person's message says what is to be played: `bench:<steps>:<tool>:<calls>:<bytes>:<ms>:<delta characters>:` (see turns.ts). Each answer
 * begins with the microsecond at which its request arrived; with `ms`, an answer takes so long and each delta says when it was made;
 * BENCH_MODEL_MS overrules it for a worker.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { anthropicFrames } from '../dev/scripted-model/wire-anthropic'
import { BENCH_MODEL_URL, parseTurn } from './turn-words'

const real = globalThis.fetch
const FILLER = 'filler of a model that is none '.repeat(40)
const encoder = new TextEncoder()
let requests = 0
let ownMs = 0

/** Microseconds since 1970. */
const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000)

globalThis.fetch = async (input, init) => {
  const url = input instanceof Request ? input.url : String(input)
  if (!url.startsWith(BENCH_MODEL_URL)) return real(input, init)
  const start = performance.now()
  const arrived = now()
  const body = String(init?.body)
  requests++
  const { words, end } = parseTurn(body)
  const ms = Number(process.env['BENCH_MODEL_MS'] ?? words.ms)
  const answersSince = count(body, '"role":"assistant"', end)
  const goesOn = answersSince < words.steps
  const head = `${arrived} `
  const text = (head + FILLER.repeat(Math.ceil(words.bytes / FILLER.length))).slice(
    0,
    Math.max(words.bytes, head.length),
  )
  const frames = anthropicFrames({
    id: `${requests}`,
    model: 'bench',
    reasoning: [],
    text: ms > 0 ? [] : pieces(text, words.deltaChars),
    calls: goesOn
      ? Array.from({ length: words.calls }, () => ({ name: words.tool, args: ['{"path":"kilobyte.txt"}'] }))
      : [],
    stop: goesOn ? 'tool_calls' : 'end',
    usage: { input: 1000, output: 250, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
  })
  const wire = frames.map((frame) => frame.wire)
  const slow = ms > 0 ? slowText(text, ms, words.deltaChars, init?.signal ?? undefined) : null
  ownMs += performance.now() - start
  return new Response(slow ? slowStream(wire, slow) : wire.join(''), {
    headers: { 'content-type': 'text/event-stream' },
  })
}

process.on('exit', () => {
  if (requests > 0)
    process.stderr.write(`in-process model: ${requests} requests, ${(ownMs / requests).toFixed(3)} ms each\n`)
})

function count(text: string, what: string, from: number): number {
  let n = 0
  for (let at = text.indexOf(what, from); at >= 0; at = text.indexOf(what, at + what.length)) n++
  return n
}

function pieces(text: string, chars: number): string[] {
  return text.match(new RegExp(`[^]{1,${chars}}`, 'g')) ?? []
}

/** The text's deltas over `ms`, each made at its time and saying so. */
async function* slowText(text: string, ms: number, chars: number, signal?: AbortSignal): AsyncGenerator<string> {
  const parts = pieces(text, chars)
  const began = performance.now()
  for (const [i, part] of parts.entries()) {
    const due = began + (ms * (i + 1)) / parts.length - performance.now()
    if (due > 0) await sleep(due, undefined, { signal })
    yield `${now()} ${part}`.slice(0, Math.max(chars, 17))
  }
}

/** The frames of an answer without text, with a text block of its own in front. */
function slowStream(wire: string[], text: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const frame = (data: { type: string }): string => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
  // The calls' blocks come after ours: their indexes move on by one.
  const rest = wire.slice(1).map((part) => part.replace(/"index":(\d+)/, (_, n: string) => `"index":${Number(n) + 1}`))
  const content = { type: 'text', text: '', citations: null }
  async function* all(): AsyncGenerator<string> {
    yield `${wire[0] ?? ''}${frame({ type: 'content_block_start', ...{ index: 0, content_block: content } })}`
    for await (const part of text)
      yield frame({ type: 'content_block_delta', ...{ index: 0, delta: { type: 'text_delta', text: part } } })
    yield frame({ type: 'content_block_stop', ...{ index: 0 } }) + rest.join('')
  }
  const parts = all()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      await parts.return(undefined)
    },
  })
}
