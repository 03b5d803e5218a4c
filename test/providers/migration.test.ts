/**
 * Going on with another model, on the pure encoders: sessions that use everything, every ordered pair of providers, at every event; and back.
 * What is signed is bound to its prefix, and the vendors' rules judge every request: a rewritten prefix is a refusal.
 */
import fc from 'fast-check'
import { anthropicProblem } from '../../dev/scripted-model/check-anthropic'
import { chatProblem } from '../../dev/scripted-model/check-chat'
import { COMPAT } from '../../dev/scripted-model/check-options'
import { responsesProblem } from '../../dev/scripted-model/check-responses'
import type { Json } from '../../dev/scripted-model/json'
import type { ViewEntry } from '../../contract/provider-port'
import { createEncoder } from '../../providers/encode'
import { unmarked } from './support/calls'
import {
  blob,
  DEFINITION,
  eventsOfScenario,
  HOMES,
  richSession,
  shownIn,
  textIn,
  type Home,
  type RichRequest,
  type RichSession,
} from './support/rich-session'

jest.setTimeout(600_000)

const COMPAT_AT: Readonly<Record<string, (typeof COMPAT)[number]>> = {
  'api.openai.com': 'openai',
  localhost: 'vllm',
  'api.deepseek.com': 'deepseek',
  'openrouter.ai': 'openrouter',
}

function refusal({ home, body }: RichRequest): unknown {
  const json = JSON.parse(body) as Json
  const bound = { bindReplay: 'prefix' as const }
  switch (home.spec.provider) {
    case 'anthropic':
      return anthropicProblem(json, { version: '2026-10-21', ...bound })
    case 'openai-responses':
      return responsesProblem(json, bound)
    case 'openai-chat':
      return chatProblem(json, { compat: COMPAT_AT[home.platform] ?? 'openai' })
  }
}

/** Nothing is lost unsaid: each content of the view is in the body, or the report names it, and never both. */
async function unaccounted({ view, body, dropped, home }: RichRequest): Promise<string[]> {
  const text = textIn(body)
  const named = (seq: number, ...kinds: string[]): boolean =>
    dropped.some((drop) => drop.seq === seq && kinds.includes(drop.what))
  const wrong: string[] = []
  for (const { marker, seq, what } of await shownIn(view)) {
    const there = text.includes(marker)
    const said =
      what === 'reasoning'
        ? named(seq, 'reasoning')
        : what === 'server tool'
          ? named(seq, 'server tool')
          : what === 'attachment' && named(seq, 'image', 'file')
    // Of several attachments of an event the report names those that are not there.
    const right = what === 'attachment' ? there || said : there !== said
    if (!right)
      wrong.push(
        `${home.name}: ${what} ${marker} of ${seq} is ${there ? 'there and named' : 'neither there nor named'}`,
      )
  }
  return wrong
}

const isOf = (home: Home, entry: ViewEntry): boolean =>
  entry.role === 'assistant' && entry.replay?.model === home.spec.name

const messagesOf = ({ body }: RichRequest): unknown[] => {
  const { messages, input } = unmarked(JSON.parse(body) as { messages?: unknown[]; input?: unknown[] })
  return messages ?? input ?? []
}

async function check({ requests }: RichSession, from: number): Promise<{ pairs: number }> {
  let pairs = 0
  const before = new Map<Home, RichRequest>()
  let checkpoint = false
  for (const request of requests) {
    const earlier = before.get(request.home)
    before.set(request.home, request)
    if (request.behind < from && earlier === undefined) continue
    expect({ at: request.behind, refused: refusal(request) }).toEqual({ at: request.behind, refused: null })
    expect(await unaccounted(request)).toEqual([])
    const begins = request.view.entries[0]?.seq
    checkpoint = earlier !== undefined && earlier.view.entries[0]?.seq !== begins
    if (!earlier || checkpoint) continue
    const [old, later] = [messagesOf(earlier), messagesOf(request)]
    expect(later.slice(0, old.length)).toEqual(old)
    pairs++
  }
  return { pairs }
}

const pairs = HOMES.flatMap((a) =>
  HOMES.flatMap((b): [string, string, Home, Home][] => (a === b ? [] : [[a.name, b.name, a, b]])),
)

test.each(HOMES.map((home) => [home.name, home] as const))(
  '%s alone: every request is taken, whole, and extends the one before',
  async (_, home) => {
    const { pairs: extended } = await check(await richSession(() => home), 0)
    expect(extended).toBeGreaterThan(8)
  },
)

test.each(pairs)('%s to %s, at every event of a session that uses everything', async (_a, _b, a, b) => {
  const events = await eventsOfScenario()
  for (let at = 1; at < events; at++) {
    const { events: log, requests } = await richSession((n) => (n < at ? a : b))
    // What was sent before is checked with each model alone; the first request behind the change, and the last, show all that is foreign.
    const after = requests.filter(({ home }) => home === b)
    await check({ events: log, requests: after.filter((_, i) => i === 0 || i === after.length - 1) }, 0)
  }
})

test('A to B to A, wherever the two changes are: what A signed is in each later request of A as it was, and A is sent what it was, and more', async () => {
  const events = await eventsOfScenario()
  let revived = 0
  // Each pair once around the middle: these alone revive what is asked for below, whatever the seed.
  const middle = pairs.map((pair): [(typeof pairs)[number], number, number] => [
    pair,
    (events >> 2) - 1,
    ((3 * events) >> 2) - 1,
  ])
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...pairs), fc.nat(events - 2), fc.nat(events - 2), async ([, , a, b], x, y) => {
      const [lo, hi] = x < y ? [x + 1, y + 1] : [y + 1, x + 1]
      const session = await richSession((n) => (n < lo || n >= hi ? a : b))
      await check(session, 1)
      for (const { home, view, body } of session.requests)
        for (const entry of view.entries) {
          if (entry.role !== 'assistant' || entry.moved || entry.replay?.model !== home.spec.name) continue
          const signed = entry.replay.blocks.filter((own) => own !== null && !own.startsWith('{"field"'))
          for (const own of signed) expect(body).toContain(own)
          const between = view.entries.some((other) => other.seq > entry.seq && isOf(b, other))
          if (home === a && signed.length > 0 && between) revived++
        }
    }),
    { numRuns: 60, examples: middle },
  )
  expect(revived).toBeGreaterThanOrEqual(20)
})

test('three providers in turn, changed at any events: no request is refused, nothing is lost unsaid', async () => {
  const events = await eventsOfScenario()
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(fc.constantFrom(...HOMES), fc.constantFrom(...HOMES), fc.constantFrom(...HOMES)),
      fc.array(fc.nat(events), { minLength: 2, maxLength: 6 }),
      async (homes, cuts) => {
        const at = [...cuts].sort((p, q) => p - q)
        const which = (n: number): Home => homes[at.filter((cut) => cut <= n).length % 3] ?? homes[0]
        await check(await richSession(which), 1)
      },
    ),
    { numRuns: 60 },
  )
})

test('a request kept from the entries of the one before is, byte for byte, the one that is made of all the events anew', async () => {
  const encoder = createEncoder()
  for (const home of HOMES) {
    const { events, requests } = await richSession(() => home)
    for (const { behind, saw, view, body, dropped } of requests) {
      const anew = structuredClone(view)
      expect(await encoder.encode({ model: home.spec, view: anew, blob }, home.platform)).toEqual({ body, dropped })
      const log = structuredClone(events.slice(0, behind))
      expect(encoder.buildView(log, { ...DEFINITION, model: home.spec }, saw)).toEqual(view)
    }
  }
})
