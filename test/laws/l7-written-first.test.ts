/**
 * L7: what a person sends is committed before anyone is told. With Temporal away it is accepted, and handled when Temporal is back
 * (test/faults/temporal-lost); with Postgres away it is refused, and nobody is told.
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect } from '../../client/connect'
import type { Client } from '../../client/types'
import { errorCode } from '../../contract/errors'
import { ask, closeGate } from '../faults/support/gate'
import { withTemporal } from '../faults/support/temporal'
import { createWorld, until, type World } from '../support/world'

let world: World
/** Takes connections and says nothing: a Temporal that hangs. */
let mute: Server
let toMute: Client
let heard = 0
const sockets = new Set<Socket>()

beforeAll(async () => {
  world = await createWorld({ script: { name: 'l7', rules: [] } })
  mute = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).on('data', () => heard++))
  })
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
  const { port } = mute.address() as AddressInfo
  toMute = await connect({ databaseUrl: world.db.writerUrl, temporal: { address: `127.0.0.1:${port}` } })
})
afterAll(async () => {
  await toMute.disconnect()
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => mute.close(resolve))
  await world.close()
})

const begin = async (): Promise<string> => (await world.client.create({ definition: world.definition() })).session
const inputs = (session: string): [string, () => Promise<{ nudged: boolean; seq: number }>][] => [
  ['a message', () => toMute.send(session, 'hello')],
  ['a steering message', () => toMute.send(session, 'hello', { delivery: 'steer' })],
  ['an interrupt', () => toMute.interrupt(session)],
  ['closing', () => toMute.close(session)],
]

test('with a Temporal that hangs every input is accepted, said not to be told, and in the log', async () => {
  const session = await begin()
  for (const [name, input] of inputs(session)) {
    const { nudged, seq } = await input()
    expect({ name, nudged }).toEqual({ name, nudged: false })
    expect((await world.client.info(session)).head).toBe(seq)
  }
  expect(heard).toBeGreaterThan(0)
  await world.sound(session)
}, 60_000)

test('nobody is told before the commit: while it stands at a lock, Temporal hears nothing', async () => {
  const session = await begin()
  const told = (): Promise<boolean> =>
    withTemporal(world, (client) =>
      client.workflow
        .getHandle(session)
        .describe()
        .then(
          () => true,
          () => false,
        ),
    )
  const gate = await closeGate(world.db.adminUrl, 'select from savefile.sessions where session_id = $1 for update', [
    session,
  ])
  const sent = world.client.send(session, 'hello')
  await gate.standsAt('input')
  expect(await told()).toBe(false)
  await gate.open()
  expect((await sent).nudged).toBe(true)
  await until('Temporal to know', told)
})

test('an input whose commit fails is refused with a clear error, and nobody is told', async () => {
  const session = await begin()
  const gate = await closeGate(world.db.adminUrl, 'select from savefile.sessions where session_id = $1 for update', [
    session,
  ])
  const sent = world.client.send(session, 'hello', { key: 'once' }).catch((error: unknown) => error)
  await gate.standsAt('input')
  await gate.cutOff('input')
  expect(errorCode(await sent)).toBe('database_unreachable')
  await gate.open()
  expect((await world.client.info(session)).head).toBe(1)
  expect(
    await ask(world.db.adminUrl, 'select due_at from savefile.sessions where session_id = $1', [session]),
  ).toBeNull()
  // The same again, by its key: once.
  expect(await world.client.send(session, 'hello', { key: 'once' })).toMatchObject({ seq: 2, duplicate: false })
  expect(await world.client.send(session, 'hello', { key: 'once' })).toMatchObject({ seq: 2, duplicate: true })
})
