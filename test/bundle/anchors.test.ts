/** What whoever owns the database can do to a log with right hashes, and that an anchor kept elsewhere shows it. */
import { createPublicKey, webcrypto } from 'node:crypto'
import { readAnchors } from '../../client/anchors'
import { verifyBundle } from '../../client/bundles'
import { createClient } from '../../client/client'
import { createEncoder } from '../../providers/encode'
import type { Anchor } from '../../contract/client-port'
import { anchorKeyName, newAnchorKey } from '../../log/anchors'
import { answer, openLog, say, turnFinished, ANN, IDLE, type TestLog } from '../log/support'
import { exported, inPieces } from './support'

let log: TestLog
const owner = newAnchorKey()
const thief = newAnchorKey()
beforeAll(async () => void (log = await openLog()))
afterAll(() => log.close())

const client = () =>
  createClient({
    encoder: createEncoder(),
    log: log.client,
    nudge: () => Promise.resolve({ nudged: true }),
    space: 'default',
    actor: ANN.actor,
    disconnect: () => Promise.resolve(),
  })

async function* lines(anchors: readonly Anchor[]): AsyncGenerator<string> {
  for (const anchor of anchors) yield JSON.stringify(anchor)
}
const read = (anchors: readonly Anchor[], pair = owner) =>
  readAnchors(lines(anchors), { key: anchorKeyName(pair.publicKey) })

async function six() {
  const ref = await log.begin()
  await log.executor.append(ref, 1, 2, [answer(ref, 2), turnFinished(2)], IDLE)
  await log.client.input(ref, ANN, 'a', say('a'))
  await log.client.input(ref, ANN, 'b', say('b'))
  return ref
}

/** As a superuser, with the triggers off: what a database's owner can do, and a person of bad will would. */
async function asSuperuser(statements: string[], session: string): Promise<void> {
  for (const table of ['events', 'lineage']) await log.admin(`alter table savefile.${table} disable trigger all`)
  for (const sql of statements) await log.admin(sql, [session])
  for (const table of ['events', 'lineage'])
    await log.admin(`alter table savefile.${table} enable always trigger append_only`)
}

/** Event 3 says something else, and every hash from there on is right. */
const rewrite = (session: string) =>
  asSuperuser(
    [
      `update savefile.events set payload = convert_to(replace(convert_from(payload, 'UTF8'), 'well', 'evil'), 'UTF8') where session_id = $1 and seq = 3`,
      ...[3, 4, 5, 6].map(
        (seq) => `update savefile.events e
          set prev_hash = p.hash, hash = savefile.event_hash(p.hash, e.session_id, e.seq, e.type, e.v, e.at, e.actor, e.key, e.kid, e.payload)
          from savefile.events p where p.session_id = $1 and p.seq = ${seq - 1} and e.session_id = $1 and e.seq = ${seq}`,
      ),
      `update savefile.sessions s set head_hash = e.hash from savefile.events e where s.session_id = $1 and e.session_id = $1 and e.seq = s.head`,
    ],
    session,
  )

const cut = (session: string) =>
  asSuperuser(['delete from savefile.events where session_id = $1 and seq > 4'], session).then(() =>
    log.admin(
      'update savefile.sessions s set head = 4, head_hash = e.hash from savefile.events e where s.session_id = $1 and e.session_id = $1 and e.seq = 4',
      [session],
    ),
  )

describe('an anchor', () => {
  it('holds while the log only grows, of the session, of a fork of it, and of a bundle', async () => {
    const ref = await six()
    const anchors = await read([await client().anchor(ref.session, owner.privateKey)])
    await log.client.input(ref, ANN, 'c', say('c'))
    await log.client.fork(ref, 7, `${ref.session}-f`, ANN, {})
    expect(await log.client.verify(ref, { anchors })).toMatchObject({ ok: true, anchors: 1 })
    expect(await log.client.verify({ ...ref, session: `${ref.session}-f` }, { anchors })).toMatchObject({
      ok: true,
      anchors: 1,
    })
    const bundle = await exported(log.client, `${ref.session}-f`)
    expect(await verifyBundle(inPieces(bundle), { anchors })).toMatchObject({ ok: true, anchors: 1 })
  })

  it('shows a log that was rewritten with right hashes, in the database, in a fork and in a bundle', async () => {
    const ref = await six()
    const anchors = await read([await client().anchor(ref.session, owner.privateKey)])
    await log.client.fork(ref, 6, `${ref.session}-f`, ANN, {})
    await rewrite(ref.session)
    expect(await log.client.verify(ref, { deep: true })).toMatchObject({ ok: true })
    expect(JSON.stringify(await log.read(ref))).toContain('evil')
    const shown = { ok: false, seq: 6, why: expect.stringContaining('rewritten') }
    expect(await log.client.verify(ref, { anchors })).toMatchObject(shown)
    expect(await verifyBundle(inPieces(await exported(log.client, ref.session)), { anchors })).toMatchObject(shown)
  })

  it('shows a log whose end was cut off', async () => {
    const ref = await six()
    const anchors = await read([await client().anchor(ref.session, owner.privateKey)])
    await cut(ref.session)
    expect(await log.client.verify(ref)).toMatchObject({ ok: true, head: 4 })
    const shown = { ok: false, seq: 5, why: expect.stringContaining('cut off') }
    expect(await log.client.verify(ref, { anchors })).toMatchObject(shown)
    expect(await verifyBundle(inPieces(await exported(log.client, ref.session)), { anchors })).toMatchObject(shown)
  })

  it('that was changed, or signed by another, is refused with its line', async () => {
    const ref = await six()
    const good = await client().anchor(ref.session, owner.privateKey)
    const changes: Partial<Anchor>[] = [
      { head: 5 },
      { hash: 'a'.repeat(64) },
      { at: good.at + 1 },
      { session: 'other' },
      { signature: good.signature.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) },
    ]
    for (const change of changes)
      await expect(read([good, { ...good, ...change }])).rejects.toMatchObject({
        code: 'invalid_anchor',
        data: { line: 2 },
      })
    const forged = await client().anchor(ref.session, thief.privateKey)
    await expect(read([forged])).rejects.toMatchObject({
      code: 'invalid_anchor',
      message: expect.stringContaining('another key'),
    })
    // Its own key in the line does not help: the signature is over the rest, and the owner's key is asked for.
    await expect(read([{ ...forged, key: good.key }])).rejects.toMatchObject({ code: 'invalid_anchor' })
    expect(await readAnchors(lines([forged]))).toHaveLength(1)
    for (const text of ['no json', '{}', '{"k":"savefile-anchor"}'])
      await expect(
        readAnchors(
          (async function* () {
            yield text
          })(),
        ),
      ).rejects.toMatchObject({ code: 'invalid_anchor', data: { line: 1 } })
  })

  it('is made of every session of a space, each once, in one stream', async () => {
    for (let i = 0; i < 3; i++) await six()
    const anchors: Anchor[] = []
    for await (const anchor of client().anchorAll(owner.privateKey)) anchors.push(anchor)
    const [{ n }] = (await log.admin('select count(*)::int as n from savefile.sessions')) as [{ n: number }]
    expect(new Set(anchors.map((a) => a.session)).size).toBe(n)
    expect(await read(anchors)).toHaveLength(n)
  })

  it('can be verified with nothing of ours: the format is no secret', async () => {
    const anchor = await client().anchor((await six()).session, owner.privateKey)
    const framed = ['savefile/anchor/1', anchor.session, String(anchor.head), anchor.hash, String(anchor.at)].map(
      (t) => {
        const b = Buffer.alloc(4)
        b.writeUInt32BE(Buffer.byteLength(t))
        return Buffer.concat([b, Buffer.from(t)])
      },
    )
    const spki = createPublicKey(owner.publicKey).export({ type: 'spki', format: 'der' })
    const key = await webcrypto.subtle.importKey('spki', spki, 'Ed25519', false, ['verify'])
    const holds = (message: Uint8Array): Promise<boolean> =>
      webcrypto.subtle.verify('Ed25519', key, Buffer.from(anchor.signature, 'base64'), message)
    expect(await holds(Buffer.concat(framed))).toBe(true)
    expect(await holds(Buffer.concat([...framed, Buffer.from('!')]))).toBe(false)
  })
})
