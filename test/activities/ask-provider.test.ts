/** A request whose replay was refused is made once more without it, and says so. */
import { askProvider } from '../../activities/ask-provider'
import { parseDefinition } from '../../contract/definition'
import type { ModelRequest, ModelResult, Provider, View } from '../../contract/provider-port'

const { model } = parseDefinition({ model: { provider: 'anthropic', name: 'm' } })
const sent = { requestHash: 'aa', dropped: [] }
const answered: ModelResult = {
  ...sent,
  ok: true,
  blocks: [{ type: 'text', text: 'fine' }],
  stop: 'end',
  usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 },
  model: 'm',
}
const refused: ModelResult = {
  ...{ ...sent, ok: false, class: 'refused_request', retryable: false, status: 400 },
  ...{ message: 'Invalid `signature` in `thinking` block', replayRefused: true },
}
const replay = { provider: 'anthropic', platform: 'p', model: 'm', format: 1, blocks: [null] }
const assistant = (seq: number, withReplay = true): View['entries'][number] => ({
  role: 'assistant',
  seq,
  blocks: [{ type: 'text', text: 'x' }],
  ...(withReplay ? { replay } : {}),
})
const view = (entries: View['entries'], replayCut?: number): View => ({
  system: '',
  tools: [],
  entries,
  ...(replayCut === undefined ? {} : { replayCut }),
})

async function ask(of: View, results: ModelResult[], signal = new AbortController().signal) {
  const requests: ModelRequest[] = []
  const provider: Provider = {
    name: 'anthropic',
    call(request) {
      requests.push(request)
      return Promise.resolve(results[requests.length - 1] ?? results.at(-1) ?? answered)
    },
  }
  const deps = {
    log: { readBlob: () => Promise.reject(new Error('no blob')) },
    providers: new Map([['anthropic', provider]]),
  }
  const asked = await askProvider(deps, { space: 'default', session: 's' }, model, of, {
    signal,
    onDelta: () => undefined,
  })
  return { ...asked, cuts: requests.map((request) => request.view.replayCut ?? 0) }
}

test('an answer is taken as it is', async () => {
  expect(await ask(view([assistant(3)]), [answered])).toMatchObject({ refusedFirst: false, cut: {}, cuts: [0] })
})
test('refused for its replay, it is asked again at once below a cut at the last answer that has one', async () => {
  const asked = await ask(view([assistant(3), assistant(7), assistant(9, false)]), [refused, answered])
  expect(asked).toMatchObject({ result: { ok: true }, refusedFirst: true, cut: { replayCut: 7 }, cuts: [0, 7] })
})
test('refused again, that is how it ends: there is no third request', async () => {
  const asked = await ask(view([assistant(3)]), [refused, refused])
  expect(asked).toMatchObject({ result: { ok: false }, refusedFirst: true, cuts: [0, 3] })
})
test('below a cut already, only what stands behind it can be refused', async () => {
  expect(await ask(view([assistant(3), assistant(7)], 3), [refused, answered])).toMatchObject({
    cut: { replayCut: 7 },
    cuts: [3, 7],
  })
  expect(await ask(view([assistant(3)], 3), [refused])).toMatchObject({
    refusedFirst: false,
    cut: { replayCut: 3 },
    cuts: [3],
  })
})
test('another refusal, or one without any replay, is not asked again', async () => {
  const { replayRefused: _, ...other } = refused as Extract<ModelResult, { ok: false }>
  expect((await ask(view([assistant(3)]), [other])).cuts).toEqual([0])
  expect((await ask(view([assistant(3, false)]), [refused])).cuts).toEqual([0])
})
test('stopped meanwhile, it is not asked again', async () => {
  const stop = new AbortController()
  stop.abort()
  expect((await ask(view([assistant(3)]), [refused, answered], stop.signal)).cuts).toEqual([0])
})
test('a provider that this worker does not have is a failure that says what to set', async () => {
  const asked = await askProvider(
    { log: { readBlob: () => Promise.reject(new Error('no blob')) }, providers: new Map() },
    { space: 'default', session: 's' },
    model,
    view([]),
    { signal: new AbortController().signal, onDelta: () => undefined },
  )
  expect(asked.result).toMatchObject({ ok: false, class: 'auth', message: expect.stringContaining('anthropic') })
})
