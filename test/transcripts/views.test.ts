/** What a model would be sent of a real transcript: for every provider a request that its vendor takes, with every word in it. */
import { parseDefinition } from '../../contract/definition'
import type { View } from '../../contract/provider-port'
import { buildView } from '../../providers/view'
import { spec, toAnthropic, toChat, toResponses, type Encoded } from '../providers/support/calls'
import { bring, eventsOf, FIXTURES, known, openDesk, type Desk } from './support'

jest.setTimeout(180_000)

let desk: Desk
beforeAll(async () => void (desk = await openDesk()))
afterAll(() => desk.close())

/** Why reasoning of another vendor, model or platform stays behind: the only thing that may. */
const REASONING = /^(?:reasoning|server tool)$/

describe.each(FIXTURES.map(({ file }) => file))('%s', (file) => {
  let sessions: { session: string; view: View; raw: View }[]
  beforeAll(async () => {
    const { session, forks, children } = await bring(desk, file)
    sessions = await Promise.all(
      [session, ...forks, ...children].map(async (id) => {
        const events = known(await eventsOf(desk, id))
        // As if somebody spoke now.
        const next = events.length + 1
        const said = {
          seq: next,
          at: 0,
          actor: 'user:ann',
          type: 'message_received' as const,
          payload: { blocks: [{ type: 'text' as const, text: 'Go on.' }], delivery: 'queue' as const },
        }
        const seen = new Set(events.flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : [])))
        const owed = events.flatMap(({ seq, type }) =>
          (type === 'message_received' || type === 'interrupted' || type === 'checkpoint_made') && !seen.has(seq)
            ? [seq]
            : [],
        )
        const definition = parseDefinition(await desk.client.definition((await desk.client.info(id)).definition))
        const view = (raw: boolean): View => buildView([...events, said], definition, [...owed, next], { raw })
        return { session: id, view: view(false), raw: view(true) }
      }),
    )
  })

  it.each<[string, (view: View, session: string) => Promise<Encoded>]>([
    ['anthropic', (view, session) => toAnthropic(view, spec('anthropic', 'claude-opus-4-5-20251101'), blobOf(session))],
    ['openai-chat', (view, session) => toChat(view, spec('openai-chat', 'gpt-4o'), blobOf(session))],
    ['openai-responses', (view, session) => toResponses(view, spec('openai-responses', 'gpt-5.5'), blobOf(session))],
  ])('goes to %s: nothing that its rules refuse, and every word but reasoning', async (_provider, encode) => {
    for (const { session, view, raw } of sessions) {
      const short = await encode(view, session)
      expect({ session, problems: short.problems }).toEqual({ session, problems: [] })
      const whole = await encode(raw, session)
      expect(whole.dropped.filter(({ what }) => !REASONING.test(what))).toEqual([])
      const body = JSON.stringify(whole.body)
      for (const text of textsOf(raw)) expect(body).toContain(JSON.stringify(text).slice(1, -1))
    }
  })

  const blobOf = (session: string) => (hash: string) => desk.client.blob(session, hash)
})

/** Every text of a view that is in its blocks. */
function textsOf({ entries }: View): string[] {
  const blocks = entries.flatMap((entry) =>
    entry.role === 'results' ? entry.results.flatMap((r) => r.blocks) : entry.blocks,
  )
  return blocks.flatMap((block) => (block.type === 'text' && block.text.trim() !== '' ? [block.text] : []))
}
