/** `chat` in a terminal, beside a turn that somebody else began. The terminal is two streams; the rest is real. */
import { PassThrough } from 'node:stream'
import { talk } from '../../cli/talk'
import { plain } from '../../cli/paint'
import { createWorld, ofType, readAll, until, type World } from '../support/world'

let world: World
beforeAll(async () => {
  const slow = { text: 'one two three four five '.repeat(400), deltaMs: 20 }
  world = await createWorld({
    script: { name: 'talk', rules: [{ when: { text: 'slow', step: 0 }, say: slow }, { say: { text: 'hello' } }] },
  })
  await world.startWorker()
}, 60_000)
afterAll(() => world.close())

function terminal(session: string) {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 100 })
  let shown = ''
  output.setEncoding('utf8').on('data', (chunk: string) => (shown += chunk))
  const done = talk({
    client: world.client,
    session,
    sessionName: session,
    input: input as unknown as NodeJS.ReadStream,
    output: output as unknown as NodeJS.WriteStream,
    paint: plain,
    from: 1,
  })
  return { type: (text: string) => void input.write(text), shown: () => shown, done }
}

test('a line typed into a turn that somebody else began steers it; Ctrl-C stops it; where none runs it says how to leave', async () => {
  const { session } = await world.client.create({ definition: world.definition() })
  const { seq } = await world.client.send(session, 'slow please')
  const chat = terminal(session)
  await until('the answer to be written', () => chat.shown().includes('one two'))
  chat.type('look out\r')
  await until('the line in the log', async () => (await readAll(world.client, session)).length === 3)
  expect(ofType(await readAll(world.client, session), 'message_received')[1]?.payload.delivery).toBe('steer')
  const other = await world.client.create({ definition: world.definition() })
  const { seq: slow } = await world.client.send(other.session, 'slow please')
  const watching = terminal(other.session)
  await until('the answer to be written', () => watching.shown().includes('one two'))
  watching.type('\u0003')
  expect((await world.client.awaitTurn(other.session, slow)).reason).toBe('interrupted')
  await world.client.interrupt(session)
  expect((await world.client.awaitTurn(session, seq)).reason).toBe('interrupted')
  const idle = terminal((await world.client.create({ definition: world.definition() })).session)
  await until('the prompt', () => idle.shown().includes('> '))
  idle.type('\u0003')
  await until('a word', () => idle.shown().includes('Ctrl-C again leaves'))
  idle.type('\u0003')
  expect(await idle.done).toBe(130)
  for (const other of [chat, watching]) {
    other.type('\u0003\u0003')
    await other.done
  }
}, 120_000)
