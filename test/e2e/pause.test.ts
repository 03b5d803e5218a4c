/** A real turn that its provider paused (recorded), carried on through Temporal: the paused answer goes back as the last message. */
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import path from 'node:path'
import type { DefinitionInput } from '../../contract/definition'
import { createWorld, ofType, readAll, type World } from '../support/world'

jest.setTimeout(120_000)

interface Message {
  role: string
  content: { type: string; id?: string; cache_control?: unknown }[]
}
const recorded = (name: string): string => {
  const file = path.join(__dirname, `../fixtures/wire/anthropic/${name}.json`)
  return (JSON.parse(readFileSync(file, 'utf8')) as { response: { sse: string } }).response.sse
}
const PAUSES = recorded('stream-pause-turn-1')
const GOES_ON = recorded('stream-pause-turn-2-resume')

const requests: Message[][] = []
let server: Server
let world: World
beforeAll(async () => {
  server = createServer((req, res) => {
    void text(req).then((body) => {
      const { messages } = JSON.parse(body) as { messages: Message[] }
      requests.push(messages)
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.end(messages.at(-1)?.role === 'assistant' ? GOES_ON : PAUSES)
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  world = await createWorld({ script: { name: 'unused', rules: [] } })
  await world.startWorker({ ANTHROPIC_BASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
afterAll(async () => {
  await world.close()
  server.close()
})

const definition = (more: Partial<DefinitionInput> = {}): DefinitionInput => ({
  model: {
    ...{ provider: 'anthropic', name: 'claude-sonnet-4-5' },
    serverTools: ['{"type":"web_search_20250305","name":"web_search"}'],
  },
  ...more,
})
/** All content in its order: consecutive messages of one side are one. */
const contentOf = (messages: Message[] = []): string[] =>
  messages.flatMap(({ role, content }) =>
    content.map(({ cache_control: _, ...block }) => `${role} ${JSON.stringify(block)}`),
  )

test('it is carried on at once, as one turn and one answer, and later requests only lengthen the earlier ones', async () => {
  const { session } = await world.client.create({ definition: definition() })
  const answer = await world.client.ask(session, 'search', { timeoutMs: 90_000 })
  expect(answer.reason).toBe('done')
  expect(await world.sound(session)).toEqual([
    ...['session_created', 'message_received', 'model_answered', 'model_answered', 'turn_finished'],
  ])
  const [paused, rest] = ofType(await readAll(world.client, session), 'model_answered')
  expect(paused?.payload).toMatchObject({ step: 'model@2', stop: 'pause' })
  expect(rest?.payload).toMatchObject({ step: 'model@3', stop: 'end', manifest: { prev: 3, saw: [] } })
  expect(answer.blocks).toEqual([...(paused?.payload.blocks ?? []), ...(rest?.payload.blocks ?? [])])
  expect(requests.map((messages) => messages.map(({ role }) => role))).toEqual([['user'], ['user', 'assistant']])

  await world.client.ask(session, 'and again', { timeoutMs: 90_000 })
  const all = requests.map(contentOf)
  for (const [i, content] of all.entries()) expect(content.slice(0, all[i - 1]?.length ?? 0)).toEqual(all[i - 1] ?? [])
})

test('limits bind it: a turn that would go on pausing ends', async () => {
  const { session } = await world.client.create({ definition: definition({ limits: { steps: 1 } }) })
  const answer = await world.client.ask(session, 'search', { timeoutMs: 90_000 })
  expect(answer).toMatchObject({ reason: 'limit', limit: 'steps' })
  await world.sound(session)
})
