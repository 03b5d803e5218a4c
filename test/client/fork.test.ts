/** Forks through the client, on a real Postgres: what they run under, where they work, how they are related. No executor runs here. */
import { execFileSync } from 'node:child_process'
import { lstat, mkdir, mkdtemp, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '../../client/client'
import { createEncoder } from '../../providers/encode'
import { copyFolder } from '../../client/fork-folder'
import { sharedUpTo } from '../../client/family'
import type { Client } from '../../client/types'
import type { Tool } from '../../contract/ports'
import { answer, finished, openLog, requested, started, IDLE, RUN, RUNNING, type TestLog } from '../log/support'

let log: TestLog
let client: Client
const nudged: string[] = []
const folders: string[] = []
const db: Tool = {
  name: 'pay',
  problem: () => null,
  run: () => Promise.resolve({ outcome: 'ok', blocks: [] }),
  fork: (from, to) =>
    to.session.startsWith('refused')
      ? Promise.reject(new Error('no room'))
      : Promise.resolve({ note: `${from.session} copied` }),
}

beforeAll(async () => {
  log = await openLog()
  client = createClient({
    encoder: createEncoder(),
    log: log.client,
    nudge: (ref) => Promise.resolve(void nudged.push(ref.session)).then(() => ({ nudged: true })),
    space: 'default',
    actor: 'user:ann',
    tools: [db],
    disconnect: () => Promise.resolve(),
  })
})
afterAll(async () => {
  await log.close()
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })))
})

/** A folder with a file, a link, a folder, and what is no part of the work; its parent is deleted afterwards. */
async function workFolder(): Promise<string> {
  const above = await mkdtemp(join(tmpdir(), 'savefile-fork-'))
  folders.push(above)
  const folder = join(above, 'work')
  await mkdir(join(folder, 'src'), { recursive: true })
  await mkdir(join(folder, '.savefile'))
  await writeFile(join(folder, '.savefile', 'secret'), 'x')
  await writeFile(join(folder, 'src', 'a.txt'), 'one')
  await writeFile(join(folder, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  await symlink('src/a.txt', join(folder, 'link'))
  return folder
}
const session = (workFolder?: string) =>
  client.create({ definition: log.definition, ...(workFolder ? { workFolder } : {}) })
const forkedOf = async (id: string) => {
  const events = await client.read(id)
  const event = events.findLast((e) => e.type === 'forked')
  return event && !event.unknown && event.type === 'forked' ? event.payload : undefined
}

describe('what a fork runs under', () => {
  it('is the definition of the event, with another model, other tools, another queue, as asked', async () => {
    const { session: parent } = await session()
    const before = await client.definition(log.definition)
    const under = async (request: Parameters<Client['fork']>[1]) =>
      client.definition((await client.fork(parent, request)).definition)
    expect(await under({})).toEqual(before)
    expect((await under({ model: { provider: 'openai-chat', name: 'gpt' } })).model).toEqual({
      ...before.model,
      provider: 'openai-chat',
      name: 'gpt',
    })
    expect((await under({ tools: [] })).tools).toEqual([])
    const [pay, wait] = (await under({ queue: 'far' })).tools
    expect([pay?.queue, wait?.queue]).toEqual(['far', undefined])
    await expect(client.fork(parent, { definition: before, queue: 'far' })).rejects.toMatchObject({
      code: 'invalid_input',
    })
  })
  it('keeps labels and title of its own, and leaves the parent as it was', async () => {
    const { session: parent } = await session()
    const before = await client.read(parent)
    const fork = await client.fork(parent, { title: 'other', labels: { team: 'b' } })
    expect(fork).toMatchObject({ title: 'other', labels: { team: 'b' }, parent: { session: parent, seq: 1 } })
    expect(await client.read(parent)).toEqual(before)
    expect(nudged.at(-1)).toBe(fork.session)
  })
  it('lets its tools bring their world along, tells the model what they say, and is not made where one can not', async () => {
    const { session: parent } = await session()
    const fork = await client.fork(parent)
    expect((await forkedOf(fork.session))?.brought).toEqual([{ tool: 'pay', note: `${parent} copied` }])
    await expect(client.fork(parent, { session: 'refused-1' })).rejects.toMatchObject({
      code: 'fork_refused',
      message: /no room/ as never,
    })
    await expect(client.info('refused-1')).rejects.toMatchObject({ code: 'session_not_found' })
  })
})

describe('the work folder of a fork', () => {
  it('is a copy beside the other one: files, rights and links, and not the stack’s folder', async () => {
    const folder = await workFolder()
    const { session: parent } = await session(folder)
    const sizes: unknown[] = []
    const fork = await client.fork(parent, { onCopy: (size, to) => sizes.push([size.files, to]) })
    const payload = await forkedOf(fork.session)
    const to = payload?.workFolder ?? ''
    expect(payload).toMatchObject({ folder: 'copy', workFolder: `${folder}-${fork.session.slice(0, 12)}` })
    expect(sizes).toEqual([[3, to]])
    expect((await readdir(to)).sort()).toEqual(['link', 'run.sh', 'src'])
    expect(await readlink(join(to, 'link'))).toBe('src/a.txt')
    expect((await lstat(join(to, 'run.sh'))).mode & 0o777).toBe(0o755)
    await writeFile(join(to, 'src', 'a.txt'), 'two')
    expect(await readFile(join(folder, 'src', 'a.txt'), 'utf8')).toBe('one')
    // A fork of the fork copies the fork's.
    const inner = await client.fork(fork.session)
    expect(await readFile(join((await forkedOf(inner.session))?.workFolder ?? '', 'src', 'a.txt'), 'utf8')).toBe('two')
  })
  it('is the same one, another one, or none, as asked', async () => {
    const [folder, other] = [await workFolder(), await workFolder()]
    const { session: parent } = await session(folder)
    const of = async (request: Parameters<Client['fork']>[1], from = parent) =>
      forkedOf((await client.fork(from, request)).session)
    expect((await of({ folder: 'share' }))?.workFolder).toBeUndefined()
    expect(await of({ workFolder: other })).toMatchObject({ workFolder: other })
    expect((await of({}, (await session()).session))?.workFolder).toBeUndefined()
  })
  it('is a git worktree on a branch of its own', async () => {
    const folder = await workFolder()
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', '-C', folder, ...args])
    const { session: parent } = await session(join(folder, 'src'))
    await expect(client.fork(parent, { folder: 'worktree' })).rejects.toMatchObject({ code: 'invalid_input' })
    git('init', '-q')
    git('add', 'src')
    git('commit', '-qm', 'one')
    // A hook of the repository is whoever's wrote into it.
    await writeFile(join(folder, '.git', 'hooks', 'post-checkout'), `#!/bin/sh\ntouch ${folder}/hooked\n`, {
      mode: 0o755,
    })
    await writeFile(join(folder, 'src', 'a.txt'), 'not committed')
    const fork = await client.fork(parent, { folder: 'worktree' })
    const payload = await forkedOf(fork.session)
    expect(payload).toMatchObject({ folder: 'worktree', workFolder: `${folder}-${fork.session.slice(0, 12)}/src` })
    expect(await readFile(join(payload?.workFolder ?? '', 'a.txt'), 'utf8')).toBe('one')
    expect(String(git('branch'))).toContain(`savefile/${fork.session}`)
    await expect(lstat(join(folder, 'hooked'))).rejects.toThrow('ENOENT')
  })
  it('of absurd size is refused with what to do, and nothing is left', async () => {
    const folder = await workFolder()
    await expect(copyFolder(folder, 'x', () => {}, { files: 2, bytes: 1e9 })).rejects.toMatchObject({
      code: 'too_large',
      message: /git worktree, share the folder/ as never,
    })
    expect(await readdir(join(folder, '..'))).toEqual(['work'])
  })
  it('that is not on this host is said, and nothing is forked', async () => {
    const folder = await workFolder()
    const { session: parent } = await session(folder)
    await rm(folder, { recursive: true })
    await expect(client.fork(parent, { session: 'elsewhere' })).rejects.toMatchObject({
      code: 'work_folder_missing',
      message: /not on this host/ as never,
    })
    await client.fork(parent, { session: 'elsewhere', folder: 'share' })
  })
  it('is taken away again where the fork is refused', async () => {
    const folder = await workFolder()
    const { session: parent } = await session(folder)
    await expect(client.fork(parent, { session: 'refused-2' })).rejects.toMatchObject({ code: 'fork_refused' })
    expect(await readdir(join(folder, '..'))).toEqual(['work'])
  })
})

describe('families', () => {
  it('are drawn from any member: parents, forks, forks of forks, each with its model', async () => {
    const { session: root } = await session()
    await client.send(root, 'one')
    const a = await client.fork(root, { at: 1, model: { name: 'other' } })
    const b = await client.fork(root)
    const inner = await client.fork(a.session)
    for (const member of [root, a.session, b.session, inner.session]) {
      const family = await client.family(member)
      expect(family.info.session).toBe(root)
      expect(family.forks.map((f) => [f.info.session, f.info.parent?.seq, f.model.name])).toEqual([
        [a.session, 1, 'other'],
        [b.session, 2, 'scripted'],
      ])
      expect(family.forks[0]?.forks.map((f) => f.info.session)).toEqual([inner.session])
    }
  })

  it('part where their events part', async () => {
    const { session: root } = await session()
    await client.send(root, 'one')
    await client.send(root, 'two')
    const early = await client.fork(root, { at: 2 })
    const late = await client.fork(root)
    const inner = await client.fork(early.session)
    const other = await session()
    const part = async (x: string, y: string) => {
      const { shared, ancestor, a, b } = await client.diff(x, y)
      const [one, two] = [await client.read(x), await client.read(y)]
      expect(one.slice(0, shared)).toEqual(two.slice(0, shared))
      if (one[shared] && two[shared]) expect(one[shared]).not.toEqual(two[shared])
      return [shared, ancestor, a.events, b.events]
    }
    expect(await part(root, late.session)).toEqual([3, root, 0, 1])
    expect(await part(early.session, late.session)).toEqual([2, root, 1, 2])
    expect(await part(inner.session, early.session)).toEqual([3, early.session, 1, 0])
    expect(await part(inner.session, late.session)).toEqual([2, root, 2, 2])
    expect(await part(root, root)).toEqual([3, root, 0, 0])
    expect(await part(root, other.session)).toEqual([0, null, 3, 1])
    expect(sharedUpTo([], [])).toEqual({ shared: 0, ancestor: null })
  })

  it('of 50 nested forks verify, and part from each other where they were forked', async () => {
    const { session: root } = await session()
    const line = [root]
    for (let depth = 1; depth <= 50; depth++) {
      await client.send(line.at(-1)!, `at ${depth}`)
      const { head } = await client.info(line.at(-1)!)
      line.push((await client.fork(line.at(-1)!, { at: depth % 4 === 0 ? head - 1 : head })).session)
    }
    const verified = await client.verify(line.at(-1)!)
    expect(verified).toMatchObject({ ok: true })
    const events = await client.read(line.at(-1)!)
    expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
    expect((await client.diff(line[10]!, line[50]!)).ancestor).not.toBeNull()
    let member = await client.family(line[25]!)
    for (const id of line.slice(1)) {
      expect(member.forks.map((f) => f.info.session)).toEqual([id])
      member = member.forks[0]!
    }
  })

  it('are shown as of any event: head, definition, and who waited then', async () => {
    const { session: id } = await session()
    await client.send(id, 'one')
    await client.changeDefinition(id, { ...(await client.definition(log.definition)), system: 'two' })
    expect(await client.infoAt(id, 2)).toMatchObject({ head: 2, definition: log.definition })
    expect((await client.infoAt(id, 3)).definition).not.toBe(log.definition)
    await expect(client.infoAt(id, 4)).rejects.toMatchObject({ code: 'invalid_input' })
  })
})

describe('what was open', () => {
  const manifest = (ref: { space: string; session: string }, due: number) => ({
    ...answer(ref, due).payload.manifest,
    definition: log.definition,
  })

  it('of a closed parent lives on in its forks, made before or after', async () => {
    const ref = await log.begin()
    const before = await client.fork(ref.session)
    await client.close(ref.session)
    const after = await client.fork(ref.session)
    for (const fork of [before, after]) {
      expect(await client.send(fork.session, 'go on')).toMatchObject({ duplicate: false })
      expect(await log.executor.claim({ space: 'default', session: fork.session }, RUN)).toMatchObject({
        status: 'claimed',
      })
    }
    await expect(client.send(ref.session, 'no')).rejects.toMatchObject({ code: 'session_closed' })
  })

  it('is answered by each for itself: an approval in both, the other way round', async () => {
    const ref = await log.begin()
    const call = `${ref.session}:2.0`
    await log.executor.append(
      ref,
      1,
      2,
      [answer(ref, 2, ['pay'], { manifest: manifest(ref, 2) }), requested(call)],
      RUNNING,
    )
    const { session: fork } = await client.fork(ref.session)
    expect((await client.approvals(fork)).map((p) => p.call)).toEqual([call])
    await client.approve(ref.session, call)
    expect((await client.approvals(fork)).map((p) => p.call)).toEqual([call])
    expect(await client.deny(fork, call)).toMatchObject({ duplicate: false })
    await expect(client.approve(fork, call)).rejects.toMatchObject({ code: 'already_resolved' })
    expect(await client.approvals(ref.session, 4)).toHaveLength(1)
  })

  it('gets one result in each log; what comes later is evidence there, and in no other', async () => {
    const ref = await log.begin()
    const [given, late] = [`${ref.session}:2.0`, `${ref.session}:2.1`] as const
    await log.executor.append(
      ref,
      1,
      2,
      [answer(ref, 2, ['wait', 'wait'], { manifest: manifest(ref, 2) }), started(given, 'wait'), started(late, 'wait')],
      RUNNING,
    )
    const { session: fork } = await client.fork(ref.session)
    const inner = { space: 'default', session: (await client.fork(fork)).session }
    const result = { outcome: 'ok' as const, content: 'it came' }
    // A person's, in the parent and in a fork: each its own.
    expect(await client.finishCall(ref.session, given, result)).not.toHaveProperty('late')
    expect(await client.finishCall(fork, given, result)).not.toHaveProperty('late')
    await expect(client.finishCall(fork, given, { ...result, content: 'again' })).rejects.toMatchObject({
      code: 'already_resolved',
    })
    // Given up by the fork of the fork, by rule; then somebody brings it.
    await log.executor.claim(inner, RUN)
    const { head } = await client.info(inner.session)
    const unknown = {
      ...finished(late, '?', 'wait'),
      payload: { ...finished(late, '?', 'wait').payload, outcome: 'unknown' as const },
    }
    await log.executor.append(inner, 1, head, [unknown], IDLE)
    const kept = await client.finishCall(inner.session, late, { ...result, key: 'k1' })
    expect(kept).toMatchObject({ late: true, seq: head + 2 })
    expect(await client.finishCall(inner.session, late, { ...result, key: 'k1' })).toMatchObject({
      late: true,
      seq: head + 2,
    })
    const events = await client.read(inner.session)
    expect(events.filter((e) => !e.unknown && e.type === 'tool_finished')).toHaveLength(1)
    expect(events.at(-1)).toMatchObject({ type: 'result_arrived_late', actor: 'user:ann', payload: { call: late } })
    expect((await client.info(inner.session)).state).toBe('idle')
    // In the parent it is still open, and its result a result.
    expect(await client.finishCall(ref.session, late, result)).not.toHaveProperty('late')
    for (const id of [ref.session, fork, inner.session]) expect(await client.verify(id)).toMatchObject({ ok: true })
    // A closed session takes evidence, and nothing else.
    await client.close(inner.session)
    expect(await client.finishCall(inner.session, late, { ...result, key: 'k2' })).toMatchObject({ late: true })
    expect(await client.info(inner.session)).toMatchObject({ state: 'closed' })
  })
})
