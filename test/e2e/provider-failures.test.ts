/** What providers do wrong, through Temporal: each is tried again as its class allows, and the answer says which attempts there were. */
import type { DefinitionInput } from '../../contract/definition'
import { withTemporal } from '../faults/support/temporal'
import { createWorld, ofType, readAll, until, type World } from '../support/world'

jest.setTimeout(120_000)

const text = 'one two three four'
const FAULTS = {
  'rate limit': { kind: 'status', status: 429, retryAfter: 5 },
  overload: { kind: 'status', status: 529 },
  'cut in mid-block': { kind: 'cut', afterDeltas: 2 },
  'clean end': { kind: 'clean_end', afterDeltas: 2 },
  'error in a 200': { kind: 'error_event', afterDeltas: 2 },
  silence: { kind: 'hang', afterDeltas: 2 },
  'too long in all': { kind: 'slow', deltaMs: 1300 },
} as const
const WANTED: Record<keyof typeof FAULTS, string> = {
  'rate limit': 'rate_limited',
  overload: 'overloaded',
  'cut in mid-block': 'cut_off',
  'clean end': 'cut_off',
  'error in a 200': 'overloaded',
  silence: 'timeout',
  'too long in all': 'timeout',
}
const PROVIDERS = ['anthropic', 'openai-chat'] as const
const cases = PROVIDERS.flatMap((provider) =>
  (Object.keys(FAULTS) as (keyof typeof FAULTS)[]).map((name) => ({ provider, name })),
)

let world: World
const sessions = new Map<string, string>()
const of = (provider: string, name: string): string => sessions.get(`${provider} ${name}`) ?? ''
let interval = 0
beforeAll(async () => {
  world = await createWorld({
    script: {
      name: 'provider-failures',
      rules: Object.entries(FAULTS).map(([name, fault]) => ({ name, when: { text: name }, say: { text, fault } })),
    },
  })
  await world.startWorker()
  for (const { provider, name } of cases) {
    const definition: DefinitionInput = { model: { provider, name: 'm', silenceMs: 2500, totalMs: 4000 } }
    const { session } = await world.client.create({ definition })
    sessions.set(`${provider} ${name}`, session)
  }
  const ask = ({ provider, name }: (typeof cases)[number]) =>
    world.client.ask(of(provider, name), `${name} ${provider}`)
  const [limited, ...others] = cases
  const first = limited && ask(limited)
  await until('the call', () => world.model.requests.length > 0)
  await withTemporal(world, (temporal) =>
    until('the pause that the vendor asked for', async () => {
      const { raw } = await temporal.workflow.getHandle(of('anthropic', 'rate limit')).describe()
      interval = Number(raw.pendingActivities?.[0]?.currentRetryInterval?.seconds ?? 0)
      return interval > 0
    }),
  )
  await Promise.all([first, ...others.map(ask)])
}, 120_000)
afterAll(() => world.close())

test.each(cases)('$provider: $name is tried again, and the answer is whole', async ({ provider, name }) => {
  const session = of(provider, name)
  await world.sound(session)
  const [answered] = ofType(await readAll(world.client, session), 'model_answered')
  expect(answered?.payload.attempts.map((attempt) => attempt.outcome)).toEqual([WANTED[name], 'answered'])
  expect(answered?.payload.blocks).toMatchObject([{ type: 'text', text }])
})

test("the pause that the vendor names is Temporal's next retry delay", () => {
  expect(interval).toBe(5)
  const at = world.model.requests
    .filter((r) => JSON.stringify(r.body).includes('rate limit anthropic'))
    .map((r) => Date.parse(r.at))
  expect(at).toHaveLength(2)
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(4990)
})
