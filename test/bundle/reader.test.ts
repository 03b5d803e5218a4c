/** The format is what docs/bundle.md says: a reader that was written from it alone agrees with ours, on what holds and on what does not. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { verifyBundle } from '../../client/bundles'
import { answer, openLog, say, turnFinished, ANN, IDLE, type TestLog } from '../log/support'
import { exported, imported, inPieces, linesOf, ofLines } from './support'
import { tamperings } from './tamperings'

const READER = path.join(__dirname, 'reader', 'savefile_bundle.py')
const EXAMPLE = readFileSync(path.join(__dirname, 'example.jsonl'))
const folder = mkdtempSync(path.join(tmpdir(), 'savefile-bundle-'))
let log: TestLog
let bundle: Buffer
let session: string

beforeAll(async () => {
  log = await openLog()
  const ref = await log.begin()
  session = `${ref.session}-f`
  await log.client.input(ref, ANN, 'u', say('ünïcode \u2028 "quotes" \\ 👩‍🚀', 'steer'))
  await log.client.input(ref, ANN, 'b', say('x'.repeat(700_000), 'steer'))
  await log.executor.append(ref, 1, 4, [answer(ref, 2), turnFinished(2)], IDLE)
  await log.client.fork(ref, 5, session, ANN, {})
  await log.client.input({ space: 'default', session }, ANN, 'f', say('on'))
  bundle = await exported(log.client, session)
})
afterAll(async () => {
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What the Python reader says. */
function python(bytes: Buffer, args: string[] = []): Promise<{ code: number; stdout: string; stderr: string }> {
  const file = path.join(folder, `${Math.random().toString(36).slice(2)}.bin`)
  writeFileSync(file, bytes)
  return new Promise((resolve) =>
    execFile('python3', [READER, ...args, file], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  )
}

it('a second reader finds the same events and head, packed or not', async () => {
  const events = await log.read({ space: 'default', session })
  for (const bytes of [bundle, gzipSync(bundle)]) {
    const { code, stdout, stderr } = await python(bytes, ['--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: `ok: ${session}, head 7 ${events.at(-1)?.hash}\n` })
    const found = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { seq: number; hash: string; type: string })
    expect(found.map(({ seq, hash, type }) => [seq, hash, type])).toEqual(events.map((e) => [e.seq, e.hash, e.type]))
  }
  expect((await python(bundle)).stdout).toContain('message_received     ünïcode')
})

it.each(tamperings)('both readers refuse a bundle in which $name, at the same line', async ({ change, line, why }) => {
  const changed = change(linesOf(bundle))
  const bytes = Buffer.isBuffer(changed) ? changed : ofLines(changed)
  const ours = await verifyBundle(inPieces(bytes, 1000))
  expect(ours).toMatchObject({ ok: false, why: expect.stringMatching(why) })
  const theirs = await python(bytes)
  expect(theirs.code).toBe(1)
  const at = line(linesOf(bundle))
  if (at !== null) expect([ours.ok ? null : ours.line, Number(/line (\d+)/.exec(theirs.stderr)?.[1])]).toEqual([at, at])
})

describe('the worked example', () => {
  it('is the file, and holds', async () => {
    const page = readFileSync(path.join(__dirname, '..', '..', 'docs', 'bundle.md'), 'utf8')
    expect(/```json\n([^`]+)```/.exec(page)?.[1]).toBe(EXAMPLE.toString('utf8'))
    expect(await verifyBundle(inPieces(EXAMPLE), { deep: true })).toMatchObject({
      ok: true,
      session: 'example-fork',
      events: 3,
      blobs: 1,
    })
    expect(await python(EXAMPLE)).toMatchObject({ code: 0, stdout: expect.stringContaining('Read this.') })
  })

  it('comes in, and goes out as it came', async () => {
    expect(await imported(log.client, EXAMPLE, 'examples')).toMatchObject({ status: 'imported', events: 3 })
    expect(await exported(log.client, 'example-fork', 'examples')).toEqual(EXAMPLE)
    expect(await log.client.info({ space: 'examples', session: 'example' })).toMatchObject({
      title: 'An example',
      custody: 'stub',
    })
  })
})
