/** The stream parser beside the vendor SDK's own: the same events, whatever the bytes are and wherever they are cut. */
import fc from 'fast-check'
import { Stream } from 'openai/streaming'
import { eventsOf } from '../../providers/sse'

const stream = (chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })

async function ours(chunks: readonly Uint8Array[]): Promise<unknown[]> {
  const all: unknown[] = []
  try {
    for await (const events of eventsOf({ body: stream(chunks) })) all.push(...events)
  } catch (error) {
    all.push(error instanceof SyntaxError ? 'broken' : error)
  }
  return all
}
async function theirs(bytes: Uint8Array): Promise<unknown[]> {
  const all: unknown[] = []
  const quiet = { logLevel: 'off' } as never
  try {
    for await (const event of Stream.fromSSEResponse(new Response(stream([bytes])), new AbortController(), quiet))
      all.push(event)
  } catch (error) {
    all.push(error instanceof SyntaxError ? 'broken' : error)
  }
  return all
}
function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, i) => bytes.subarray(at[i - 1] ?? 0, end)).filter(({ length }) => length > 0)
}

const line = fc.oneof(
  { weight: 6, arbitrary: fc.json().map((json) => `data: ${json}`) },
  fc.constantFrom(
    'data:{"no":"space"}',
    'data: {"ünï": "😀 \\u2028"}',
    ': a comment',
    'event: message_start',
    'id: 7',
    'retry: 1',
    'data: {"two":',
    'data: "lines"}',
    'data: [DONE]',
    'data: not json',
    'data:',
    'nonsense',
    '',
  ),
)
const block = fc.tuple(fc.array(line, { maxLength: 3 }), fc.constantFrom('\n', '\n', '\r\n'))

test('the same events as the SDK makes of the same bytes, wherever they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(block, { maxLength: 12 }),
      fc.constantFrom('', 'data: {"cut":1}\n', 'data: {"cu'),
      fc.array(fc.nat(10_000), { maxLength: 30 }),
      async (blocks, end, cuts) => {
        const text = blocks.map(([lines, eol]) => `${lines.join(eol)}${eol}${eol}`).join('') + end
        // An error is thrown by the SDK, and read by the adapters; an event without data is none by the standard, and breaks the SDK.
        const noData = text.split(/(?:\r?\n){2}/).some((event) => /^event:/m.test(event) && !/^data:/m.test(event))
        fc.pre(!/"error"/.test(text) && !/"cut"/.test(blocks.join('')) && !noData)
        const bytes = Buffer.from(text)
        const expected = await theirs(bytes)
        expect(await ours(cutAt(bytes, cuts))).toEqual(expected)
      },
    ),
    { numRuns: 300 },
  )
})

test('bytes that are no text change nothing else', async () => {
  const bytes = Buffer.concat([Buffer.from('data: "a'), Buffer.from([0xff, 0xfe]), Buffer.from('b"\n\ndata: 1\n\n')])
  expect(await ours([bytes.subarray(0, 9), bytes.subarray(9)])).toEqual(['a\uFFFD\uFFFDb', 1])
})

test('an error that is no JSON is an error event; what came before what is broken is given', async () => {
  expect(await ours([Buffer.from('data: 1\n\nevent: error\ndata: overloaded\n\ndata: 2\n\n')])).toEqual([
    1,
    { type: 'error', error: { message: 'overloaded' } },
    2,
  ])
  expect(await ours([Buffer.from('data: 1\n\ndata: {\n\ndata: 2\n\n')])).toEqual([1, 'broken'])
})

test('a line in very many pieces costs its length once', async () => {
  const piece = Buffer.from('x'.repeat(1000))
  const pieces = [Buffer.from('data: "'), ...Array.from({ length: 20_000 }, () => piece), Buffer.from('"\n\n')]
  const [event] = await ours(pieces)
  expect((event as string).length).toBe(20_000_000)
})
