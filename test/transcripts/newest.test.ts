/**
 * What the clients of today write that older ones did not: Claude Code 2.1.197 and Codex 0.169, as they wrote it against the scripted server
 * (test/clients), without their own instructions and lists.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { transcriptsAt } from '../../cli/transcript-files'
import type { TranscriptFile } from '../../client/transcripts'
import { buildView } from '../../providers/view'
import { eventsOf, known, openDesk, type Desk } from './support'

let desk: Desk
beforeAll(async () => void (desk = await openDesk()))
afterAll(() => desk.close())

type Json = Record<string, unknown>
const file = (...lines: Json[]): TranscriptFile => ({
  name: 'newest.jsonl',
  bytes: Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
})
const exported = async (session: string, format: string): Promise<Json[]> => {
  let text = ''
  for await (const piece of desk.client.exportAs(session, format)) text += piece
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Json)
}
/** What a model is shown of the session now: the texts alone. */
const shownOf = async (session: string): Promise<string[]> => {
  const events = known(await eventsOf(desk, session))
  const { definition } = await desk.client.info(session)
  const seen = new Set(events.flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : [])))
  const late = events.flatMap(({ seq, type }) => (type === 'message_received' && !seen.has(seq) ? [seq] : []))
  const { entries } = buildView(events, await desk.client.definition(definition), late)
  return entries.flatMap((entry) =>
    entry.role === 'results' ? [] : entry.blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])),
  )
}

const SESSION = 'e34d38ee-19d1-4a5b-94bc-75512127f528'
const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const common = (n: number, parent: number | null): Json => ({
  parentUuid: parent === null ? null : uuid(parent),
  uuid: uuid(n),
  isSidechain: false,
  timestamp: `2026-11-25T17:12:${String(10 + n)}.000Z`,
  userType: 'external',
  entrypoint: 'sdk-cli',
  cwd: '/work',
  sessionId: SESSION,
  version: '2.1.197',
  gitBranch: 'HEAD',
})
const said = (n: number, parent: number | null, content: unknown, more: Json = {}): Json => ({
  ...common(n, parent),
  promptId: uuid(900),
  type: 'user',
  message: { role: 'user', content },
  ...more,
})
const answered = (n: number, parent: number, text: string): Json => ({
  ...common(n, parent),
  type: 'assistant',
  requestId: `req_${n}`,
  message: {
    id: `msg_${n}`,
    type: 'message',
    role: 'assistant',
    model: 'claude-opus-4-8',
    content: [{ type: 'text', text, citations: null }],
    stop_reason: 'end_turn',
    stop_details: null,
    usage: { input_tokens: 10, output_tokens: 5 },
  },
})

const CLAUDE = file(
  { type: 'queue-operation', operation: 'enqueue', sessionId: SESSION, content: 'one' },
  said(1, null, 'one'),
  answered(2, 1, 'first answer'),
  said(3, 2, 'two'),
  answered(4, 3, 'second answer'),
  { type: 'last-prompt', lastPrompt: 'two', leafUuid: uuid(4), sessionId: SESSION },
  {
    ...common(5, null),
    logicalParentUuid: uuid(4),
    type: 'system',
    subtype: 'compact_boundary',
    content: 'Conversation compacted',
    compactMetadata: {
      trigger: 'manual',
      preTokens: 19479,
      preservedSegment: { headUuid: uuid(4), anchorUuid: uuid(6), tailUuid: uuid(4) },
      preservedMessages: { anchorUuid: uuid(6), uuids: [uuid(4)], allUuids: [uuid(4)] },
    },
  },
  said(6, 5, 'This session is being continued: SUMMARY', { isVisibleInTranscriptOnly: true, isCompactSummary: true }),
  said(7, 6, 'three'),
  answered(8, 7, 'third answer'),
)

test('Claude Code: what a compaction leaves beside its summary stays in the view, and goes out as it came', async () => {
  const { session } = await desk.client.importTranscript(CLAUDE)
  const shown = await shownOf(session)
  // A step is left whole: with the message that it answered.
  expect(shown.slice(1)).toEqual([
    'This session is being continued: SUMMARY',
    'two',
    'second answer',
    'three',
    'third answer',
  ])
  const lines = await exported(session, 'claude-code')
  const boundary = lines.find(({ subtype }) => subtype === 'compact_boundary')
  const summary = lines.find(({ isCompactSummary }) => isCompactSummary === true)
  const kept = lines.filter(({ message }) => /"(?:two|second answer)"/.test(JSON.stringify(message))).map((l) => l.uuid)
  expect(kept).toHaveLength(2)
  expect(boundary?.compactMetadata).toMatchObject({
    preservedSegment: { headUuid: kept[0], anchorUuid: summary?.uuid, tailUuid: kept[1] },
    preservedMessages: { anchorUuid: summary?.uuid, uuids: kept, allUuids: kept },
  })
})

let second = 0
const codexLine = (type: string, payload: Json): Json => ({
  timestamp: `2026-11-25T17:35:${String(second++).padStart(2, '0')}.000Z`,
  ordinal: second,
  type,
  payload,
})
const spoken = (role: string, text: string): Json => ({
  type: 'message',
  id: `msg_${text.length}_${role}`,
  role,
  content: [{ type: role === 'assistant' ? 'output_text' : 'input_text', text }],
  internal_chat_message_metadata_passthrough: { turn_id: 't' },
})
const meta = codexLine('session_meta', {
  session_id: '01a213c7-0150-78a2-b8c9-6a96cec92b4a',
  id: '01a213c7-0150-78a2-b8c9-6a96cec92b4a',
  cwd: '/work',
  cli_version: '0.169.0',
  source: 'exec',
  model_provider: 'openai',
})
const CODEX = file(
  meta,
  codexLine('turn_context', { cwd: '/work', model: 'gpt-5.5' }),
  codexLine('response_item', spoken('user', 'hello')),
  codexLine('response_item', spoken('assistant', 'an answer')),
  codexLine('token_usage_record', { usage: { input_tokens: 1 } }),
  codexLine('compacted', {
    message: 'SUMMARY of it',
    replacement_history: [
      spoken('developer', 'instructions'),
      spoken('user', 'hello'),
      spoken('user', 'SUMMARY of it'),
    ],
    window_number: 1,
  }),
  codexLine('world_state', { full: true, state: {} }),
  codexLine('response_item', spoken('user', 'go')),
  codexLine('response_item', spoken('assistant', 'and on')),
  codexLine('event_msg', { type: 'task_complete' }),
)

test('Codex: a compaction keeps what people said beside its summary, and so does the view', async () => {
  const { session, notes } = await desk.client.importTranscript(CODEX)
  expect((await shownOf(session)).slice(1)).toEqual(['hello', 'SUMMARY of it', 'go', 'and on'])
  expect(notes.map(({ kind }) => kind)).not.toContain('field')
})

test('as Codex: from a summary on the client sends it, and what it leaves beside it, and comes back the same', async () => {
  const { session } = await desk.client.importTranscript(CLAUDE, { session: 'as-codex' })
  const lines = await exported(session, 'codex')
  const { payload } = lines.find(({ type }) => type === 'compacted') ?? {}
  const history = (payload as { replacement_history: Json[] }).replacement_history
  expect(history.map(({ role, content }) => [role, (content as Json[])[0]?.text])).toEqual([
    ['user', 'This session is being continued: SUMMARY'],
    ['user', 'two'],
    ['assistant', 'second answer'],
  ])
  const text = file(...lines)
  const again = await desk.client.importTranscript(text, { session: 'as-codex-again' })
  expect(await shownOf(again.session)).toEqual(await shownOf(session))
})

test('as Codex: what an interrupt kept of an answer is there for the client', async () => {
  const rollout = file(
    meta,
    codexLine('turn_context', { cwd: '/work', model: 'gpt-5.5' }),
    codexLine('response_item', spoken('user', 'hello')),
    codexLine('event_msg', { type: 'turn_aborted', reason: 'interrupted' }),
    codexLine('response_item', spoken('user', 'again')),
    codexLine('response_item', spoken('assistant', 'an answer')),
  )
  const { session } = await desk.client.importTranscript(rollout, { session: 'stopped' })
  const lines = await exported(session, 'codex')
  const at = lines.findIndex(({ payload }) => (payload as Json).type === 'turn_aborted')
  expect(at).toBeGreaterThan(0)
  const partial = { ...lines[at], savefile: { partial: true, blocks: [{ type: 'text', text: 'half of it' }] } }
  const cut = await desk.client.importTranscript(file(...lines.slice(0, at), partial, ...lines.slice(at + 1)), {
    session: 'stopped-2',
  })
  const out = await exported(cut.session, 'codex')
  const items = out.filter(({ type }) => type === 'response_item').map(({ payload }) => payload as Json)
  expect(items.map(({ content }) => (content as Json[])[0]?.text)).toEqual([
    'hello',
    'half of it',
    'again',
    'an answer',
  ])
  const back = await desk.client.importTranscript(file(...out), { session: 'stopped-3' })
  expect(await shownOf(back.session)).toEqual(await shownOf(cut.session))
})

const CHILD = '01a213c7-aaaa-7000-8000-000000000001'
const childMeta = (id: string, parent: string): Json =>
  codexLine('session_meta', {
    id,
    session_id: parent,
    parent_thread_id: parent,
    cwd: '/work',
    cli_version: '0.169.0',
    thread_source: 'subagent',
    model_provider: 'openai',
    source: { subagent: { thread_spawn: { parent_thread_id: parent, depth: 1, agent_nickname: 'Boole' } } },
  })
const spawn = (call: string, ...said: Json[]): Json[] => [
  codexLine('response_item', {
    type: 'function_call',
    name: 'spawn_agent',
    arguments: '{"message":"look"}',
    call_id: call,
  }),
  ...said,
]
const output = (call: string, text: string): Json =>
  codexLine('response_item', { type: 'function_call_output', call_id: call, output: text })

test.each<[string, Json[]]>([
  ['its output', spawn('c1', output('c1', JSON.stringify({ agent_id: CHILD, nickname: 'Boole' })))],
  [
    'an event beside it',
    spawn(
      'c1',
      codexLine('event_msg', { type: 'collab_agent_spawn_end', call_id: 'c1', new_thread_id: CHILD }),
      output('c1', '{"task_name":"/root/look"}'),
    ),
  ],
  [
    'an item of the client',
    spawn(
      'c1',
      output('c1', '{"task_name":"/root/look"}'),
      codexLine('event_msg', {
        type: 'item_completed',
        item: { type: 'CollabAgentToolCall', id: 'c1', receiver_thread_ids: [CHILD] },
      }),
    ),
  ],
])('Codex: a sub-agent is a child of the call that started it, named by %s', async (what, called) => {
  const turn = codexLine('turn_context', { cwd: '/work', model: 'gpt-5.5' })
  const parent = file(
    meta,
    turn,
    codexLine('response_item', spoken('user', 'hello')),
    ...called,
    codexLine('response_item', spoken('assistant', 'it looks')),
  )
  const child = {
    ...file(
      childMeta(CHILD, '01a213c7-0150-78a2-b8c9-6a96cec92b4a'),
      turn,
      codexLine('response_item', spoken('user', 'look')),
      codexLine('response_item', spoken('assistant', 'looked')),
    ),
    name: 'rollout-child.jsonl',
  }
  const session = `parent-${what.replaceAll(' ', '-')}`
  const stranger = { ...file(childMeta('other', 'somebody else')), name: 'rollout-stranger.jsonl' }
  const imported = await desk.client.importTranscript(parent, { session, others: [stranger, child] })
  expect(imported.children).toHaveLength(1)
  expect(imported.notes.map(({ kind }) => kind)).not.toContain('stray_sub_agent')
  const [name = ''] = imported.children
  expect(await shownOf(name)).toEqual(['look', 'looked'])
  const started = known(await eventsOf(desk, session)).find(({ type }) => type === 'child_started')
  expect(started?.payload).toMatchObject({ child: name })
})

test('of a folder, rollouts of sub-agents come with the session that started them, and alone as their own', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'savefile-rollouts-'))
  const write = (name: string, first: Json): Promise<void> =>
    writeFile(path.join(folder, `rollout-${name}.jsonl`), file(first).bytes)
  await write('1-main', codexLine('session_meta', { id: 'main' }))
  await write('2-child', childMeta('child', 'main'))
  await write('3-grandchild', childMeta('grandchild', 'child'))
  await write('4-of-another', childMeta('x', 'not here'))
  const found = async (target: string): Promise<string[][]> => {
    const all: string[][] = []
    for await (const { file: main, others } of transcriptsAt(target))
      all.push([main, ...others].map(({ name }) => name))
    return all
  }
  const family = ['rollout-1-main.jsonl', 'rollout-2-child.jsonl', 'rollout-3-grandchild.jsonl']
  expect(await found(folder)).toEqual([family, ['rollout-4-of-another.jsonl']])
  expect(await found(path.join(folder, 'rollout-1-main.jsonl'))).toEqual([family])
  expect(await found(path.join(folder, 'rollout-2-child.jsonl'))).toEqual([family.slice(1)])
  await rm(folder, { recursive: true })
})
