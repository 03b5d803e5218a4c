/** Whatever a session holds: exported and imported again, each of its lines says the same. Pure: no database. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { Block, ContentBlock } from '../../contract/blocks'
import { textBlock } from '../../contract/blocks'
import { parseDefinition } from '../../contract/definition'
import { parseEvent, type StoredEvent } from '../../contract/events'
import type { SessionInfo } from '../../contract/client-port'
import { BlobStore } from '../../transcripts/blocks'
import { Conversation } from '../../transcripts/conversation'
import type { ExportSource } from '../../transcripts/exporting'
import { EXPORTERS } from '../../transcripts/formats'
import type { AnswerItem, Entry, Item, Thread } from '../../transcripts/items'
import { readTranscript } from '../../transcripts/read'
import { Notes } from '../../transcripts/report'
import { writeThread, type WrittenSession } from '../../transcripts/sessions'
import { told } from './told'

jest.setTimeout(300_000)

const RUNS = Number(process.env.SAVEFILE_TEST_RUNS ?? 100)
const DEFINITION = parseDefinition({ system: 'Be brief.', model: { provider: 'anthropic', name: 'm' } })

/** Sessions in memory, as a log gives them back. */
class Family {
  readonly sessions: WrittenSession[] = []
  constructor(readonly blobs: BlobStore) {}

  stored(session: string): StoredEvent[] {
    const own = this.sessions.find((one) => one.session === session)
    if (!own) return []
    const inherited = own.base ? this.lineage(own.base.session, own.base.seq) : []
    return [...inherited, ...this.rows(own)]
  }

  private lineage(session: string, upTo: number): StoredEvent[] {
    return this.stored(session).filter(({ seq }) => seq <= upTo)
  }

  private rows({ session, base, events }: WrittenSession): StoredEvent[] {
    const from = (base?.seq ?? 0) + 1
    return events.map((event, i) => ({ ...event, seq: from + i, session, kid: null, prevHash: '', hash: '' }))
  }

  source(session: string): ExportSource {
    const events = this.stored(session)
    const info = {
      session,
      title: null,
      labels: {},
      definition: 'd',
      createdAt: events[0]?.at ?? 0,
    } as unknown as SessionInfo
    return {
      info,
      async *events() {
        await Promise.resolve()
        yield* events
      },
      definition: () => Promise.resolve(DEFINITION),
      blob: (hash) => Promise.resolve(this.blobs.stored.get(hash)?.bytes ?? null),
      forks: () =>
        Promise.resolve(this.sessions.filter((one) => one.parent === session).map((one) => this.source(one.session))),
      child: (child) => Promise.resolve(this.sessions.some((one) => one.session === child) ? this.source(child) : null),
    }
  }

  told(session: string): string {
    return JSON.stringify(told(this.stored(session).flatMap((event) => parseEvent(event) ?? [])))
  }
}

async function familyOf(thread: Thread, blobs: BlobStore, notes: Notes): Promise<Family> {
  const family = new Family(blobs)
  const definition = `sha256:${createHash('sha256').update('d').digest('hex')}`
  const options = { session: 's', format: 'pi' as const, definition, actor: 'user:ann', blobs }
  const written = writeThread(thread, {
    ...options,
    report: ({ file }) => notes.of(file),
    existing: () => Promise.resolve(new Map()),
  })
  for await (const session of written) family.sessions.push(session)
  return family
}

const words = fc.oneof(
  fc.constantFrom(
    'hello',
    'ünï \u2028 "quoted" \\ back',
    '  ',
    '\n',
    '[Request interrupted by user]',
    '<tag>',
    'a'.repeat(70_000),
    '{"json":1}',
    'NUL \0 here',
  ),
  fc.string({ minLength: 1, maxLength: 30 }),
)
const text = words
  .filter((w) => w !== '[Request interrupted by user]')
  .map((w): Extract<Block, { type: 'text' }> => textBlock(w))
const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 })

type Make<T> = (blobs: BlobStore) => T
const always =
  <T>(value: T): Make<T> =>
  () =>
    value
const content: fc.Arbitrary<Make<ContentBlock>> = fc.oneof(
  { weight: 4, arbitrary: text.map(always<ContentBlock>) },
  bytes.map((b): Make<ContentBlock> => (blobs) => ({ type: 'image', blob: blobs.put(b, 'image/png') })),
  fc
    .tuple(
      bytes,
      fc.constantFrom('application/pdf', 'text/csv', 'application/octet-stream'),
      fc.option(fc.string({ minLength: 1, maxLength: 9 }), { nil: undefined }),
      fc.boolean(),
    )
    .map(([b, type, name, kept]): Make<ContentBlock> => (blobs) => ({
      type: 'file',
      blob: blobs.put(b, type),
      ...(name === undefined ? {} : { name }),
      ...(kept ? { kept: true } : {}),
    })),
  fc.constantFrom('{"a":[1,2]}', '"x"').map((json): Make<ContentBlock> => always({ type: 'structured', json })),
)
const contents = fc.array(content, { minLength: 1, maxLength: 3 })

const signed = JSON.stringify({ type: 'thinking', thinking: 'hm', signature: 'sig' })
const encrypted = JSON.stringify({ type: 'reasoning', summary: [], encrypted_content: 'gAAA' })
const answerBlock: fc.Arbitrary<{ block: Block; kept: (provider: string) => string | null }> = fc.oneof(
  { weight: 3, arbitrary: text.map((block) => ({ block: block as Block, kept: () => null })) },
  fc.constant({
    block: { type: 'reasoning' as const, text: 'hm' } as Block,
    kept: (provider: string) =>
      provider === 'anthropic'
        ? signed
        : provider === 'openai-responses'
          ? encrypted
          : JSON.stringify({ field: 'reasoning' }),
  }),
  fc.constant({ block: { type: 'reasoning', text: 'in clear' } as Block, kept: () => null }),
  fc.constant({ block: { type: 'refusal', text: 'no' } as Block, kept: () => null }),
  fc.constant({
    block: { type: 'structured', json: '{"type":"web_search_call"}' } as Block,
    kept: (p: string) => (p === 'openai-chat' ? null : '{"type":"web_search_call"}'),
  }),
  fc.constantFrom('{"a":1}', '{ "b" : 1e2 }', 'not json', '[1]', '{"big":12345678901234567890}').map((args) => ({
    block: { type: 'tool_call', call: '', name: 'look', args } as Block,
    kept: () => null,
  })),
)
const answer = fc.record({
  provider: fc.constantFrom('anthropic', 'openai-responses', 'openai-chat'),
  blocks: fc.array(answerBlock, { minLength: 1, maxLength: 4 }),
})

type Op =
  | { op: 'said'; blocks: Make<ContentBlock>[] }
  | {
      op: 'answer'
      provider: string
      blocks: { block: Block; kept: (provider: string) => string | null }[]
      outcomes: Outcome[]
      results: Make<ContentBlock>[]
    }
  | { op: 'failed' }
  | { op: 'interrupted'; partial: Block[] }
  | { op: 'checkpoint'; blocks: Make<ContentBlock>[]; keeps: number }
  | { op: 'back'; to: number }
type Outcome = 'ok' | 'error' | 'denied' | 'cancelled' | 'unknown'

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: contents.map((blocks): Op => ({ op: 'said', blocks })) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        answer,
        fc.array(fc.constantFrom<Outcome>('ok', 'ok', 'error', 'denied', 'cancelled', 'unknown'), {
          minLength: 4,
          maxLength: 4,
        }),
        contents,
      )
      .map(([a, outcomes, results]): Op => ({ op: 'answer', ...a, outcomes, results })),
  },
  fc.constant<Op>({ op: 'failed' }),
  fc.array(text, { maxLength: 2 }).map((partial): Op => ({ op: 'interrupted', partial })),
  fc.tuple(contents, fc.nat({ max: 8 })).map(([blocks, keeps]): Op => ({ op: 'checkpoint', blocks, keeps })),
  { weight: 3, arbitrary: fc.nat({ max: 12 }).map((to): Op => ({ op: 'back', to })) },
)

/** The ops as a transcript's tree; its own line ends with an answer, so that it is there to tell. */
function threadOf(ops: readonly Op[], blobs: BlobStore): Thread {
  const conversation = new Conversation()
  let place: Entry | null = null
  let n = 0
  const add = (item: Item): Entry => {
    n++
    const entry: Entry = { id: `entry${n}`, line: n, at: n * 1_000_000, item, parent: place }
    place = item.kind === 'answer' ? conversation.answer(entry) : conversation.add(entry)
    return entry
  }
  const reply = (provider: string, blocks: Block[], kept: (string | null)[]): AnswerItem => ({
    kind: 'answer',
    provider,
    platform: 'x.example',
    model: `model of ${provider}`,
    replayFormat: 1,
    blocks,
    kept,
    stop: 'end',
    usage: { input: 3, output: 2, cacheRead: 1, cacheWrite: 0, reasoning: 0 },
  })
  for (const one of ops) {
    switch (one.op) {
      case 'said':
        add({ kind: 'said', blocks: one.blocks.map((make) => make(blobs)) })
        break
      case 'answer': {
        const blocks = one.blocks.map(({ block }, i) =>
          block.type === 'tool_call' ? { ...block, call: `c${n}.${i}` } : block,
        )
        add(
          reply(
            one.provider,
            blocks,
            one.blocks.map(({ kept }) => kept(one.provider)),
          ),
        )
        for (const [i, block] of blocks.entries()) {
          if (block.type !== 'tool_call') continue
          n++
          const item = {
            kind: 'result' as const,
            call: block.call,
            outcome: one.outcomes[i] ?? 'ok',
            blocks: one.results.map((make) => make(blobs)),
          }
          place = conversation.result(item, place, { id: `entry${n}`, line: n, at: n * 1_000_000 })
        }
        break
      }
      case 'failed':
        add({ kind: 'failed', class: 'overloaded', status: 529, message: 'too many' })
        break
      case 'interrupted':
        add({ kind: 'interrupted', partial: one.partial })
        break
      case 'checkpoint': {
        const keeps = conversation.entries.at(-1 - one.keeps)
        const onPath = keeps !== undefined && isAbove(keeps, place)
        add({ kind: 'checkpoint', blocks: one.blocks.map((make) => make(blobs)), ...(onPath ? { keeps } : {}) })
        break
      }
      case 'back':
        place = conversation.entries.at(-1 - one.to) ?? place
    }
  }
  add({ kind: 'said', blocks: [textBlock('the last')] })
  add(reply('anthropic', [textBlock('the end')], [null]))
  return { id: 's', file: 'x', system: 'Be brief.', labels: {}, entries: conversation.finish() }
}

function isAbove(entry: Entry, place: Entry | null): boolean {
  for (let at = place; at; at = at.parent) if (at === entry) return true
  return false
}

async function again(family: Family, session: string, format: 'claude-code' | 'codex'): Promise<Family> {
  let file = ''
  for await (const piece of EXPORTERS[format]?.(family.source(session)) ?? []) file += piece
  const transcript = readTranscript({ name: 'x', bytes: Buffer.from(file) }, [])
  return familyOf(transcript.thread, transcript.blobs, transcript.notes)
}

const program = fc.array(op, { minLength: 1, maxLength: 25, size: 'max' })

const hello: Op = { op: 'said', blocks: [always<ContentBlock>(textBlock('hello'))] }
const stopped: Op = { op: 'interrupted', partial: [] }
const cutOff: Op = { op: 'interrupted', partial: [textBlock('half')] }
const answered = (block: Block): Op => ({
  op: 'answer',
  provider: 'anthropic',
  blocks: [{ block, kept: () => null }],
  outcomes: ['ok'],
  results: [always<ContentBlock>(textBlock('seen'))],
})
const looked = answered({ type: 'tool_call', call: '', name: 'look', args: '{}' })
const spoke = answered(textBlock('hello'))
const summary = (keeps: number): Op => ({
  op: 'checkpoint',
  blocks: [always<ContentBlock>(textBlock('so far'))],
  keeps,
})

/** Found once at random. */
const KEEPS_FROM_A_PARTIAL: [Op[]][] = [
  [[looked, cutOff, spoke, summary(0), { op: 'failed' }]],
  [[spoke, cutOff, looked, summary(0), stopped]],
]
/** The last `back` but one leaves a branch that says nothing of its own: it ends where another goes on. */
const ENDS_WHERE_ANOTHER_GOES_ON: [Op[]][] = [
  [[spoke, stopped, hello, spoke, { op: 'back', to: 2 }, { op: 'failed' }, { op: 'back', to: 4 }]],
]

test('by Claude Code’s format: its own line and every branch', async () => {
  let branches = 0
  await fc.assert(
    fc.asyncProperty(program, async (ops) => {
      const blobs = new BlobStore()
      const before = await familyOf(threadOf(ops, blobs), blobs, new Notes())
      const after = await again(before, 's', 'claude-code')
      branches += before.sessions.length - 1
      expect(after.told('s')).toEqual(before.told('s'))
      const forks = (f: Family): string[] =>
        f.sessions
          .filter(({ parent }) => parent !== null)
          .map(({ session }) => f.told(session))
          .sort()
      expect(forks(after)).toEqual(forks(before))
    }),
    { numRuns: RUNS, examples: [...ENDS_WHERE_ANOTHER_GOES_ON, ...KEEPS_FROM_A_PARTIAL] },
  )
  expect(branches).toBeGreaterThan(RUNS / 20)
})

test('by Codex’ format: each session by itself', async () => {
  await fc.assert(
    fc.asyncProperty(program, async (ops) => {
      const blobs = new BlobStore()
      const before = await familyOf(threadOf(ops, blobs), blobs, new Notes())
      for (const { session } of before.sessions)
        expect((await again(before, session, 'codex')).told('s')).toEqual(before.told(session))
    }),
    { numRuns: RUNS, examples: [...KEEPS_FROM_A_PARTIAL, ...ENDS_WHERE_ANOTHER_GOES_ON] },
  )
})

test('by Claude Code’s format: a session whose fork goes on from its last event keeps its own line', async () => {
  const blobs = new BlobStore()
  const conversation = new Conversation()
  const add = (n: number, item: Item, parent: Entry | null): Entry =>
    conversation.add({ id: `entry${n}`, line: n, at: n * 1_000_000, item, parent })
  const said = (words: string): Item => ({ kind: 'said', blocks: [textBlock(words)] })
  const end = add(2, { kind: 'interrupted', partial: [] }, add(1, said('hello'), null))
  add(3, said('what only the fork says'), end)
  add(4, { kind: 'end' }, end)
  const thread = { id: 's', file: 'x', system: '', labels: {}, entries: conversation.finish() }
  const before = await familyOf(thread, blobs, new Notes())
  expect(before.sessions.map(({ parent }) => parent)).toEqual([null, 's'])
  const after = await again(before, 's', 'claude-code')
  expect(after.told('s')).toEqual(before.told('s'))
  expect(after.told('s')).not.toContain('what only the fork says')
  expect(after.sessions.map(({ session }) => after.told(session)).sort()).toEqual(
    before.sessions.map(({ session }) => before.told(session)).sort(),
  )
})
