/** Real transcripts, a client over a database of its own, and what a session says in no order but that of its view. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createClient } from '../../client/client'
import { createEncoder } from '../../providers/encode'
import type { Client } from '../../client/types'
import type { TranscriptFile, TranscriptImported, TranscriptOptions } from '../../client/transcripts'
import { parseEvent, type KnownEvent } from '../../contract/events'
import type { StoredEvent } from '../../contract/events'
import { buildView } from '../../providers/view'
import { openLog, type TestLog } from '../log/support'
import { entriesTold } from './told'

export const FIXTURES_FOLDER = path.join(__dirname, '..', '..', '..', 'shared', 'fixtures', 'transcripts')

export function fixture(name: string): TranscriptFile {
  return { name: path.basename(name), bytes: readFileSync(path.join(FIXTURES_FOLDER, name)) }
}

export interface Fixture {
  name: string
  file: string
  others: string[]
}

export const FIXTURES: readonly Fixture[] = [
  'claude-code/api-error-signatures.jsonl',
  'claude-code/blank-text-tool-errors-branches.jsonl',
  'claude-code/compaction-summary-orphan.jsonl',
  'claude-code/orphan-tool-result-branches.jsonl',
  'claude-code/pasted-image-queue-branches.jsonl',
  'claude-code/summaries-branches-missing-parent.jsonl',
  'claude-code/task-subagents-no-thinking.jsonl',
  'claude-code/two-models-signatures-bad-line.jsonl',
  'claude-code/with-subagent.jsonl',
  'codex/rollout-2026-05-11T11-26-55.jsonl',
  'pi/before-compaction.head.jsonl',
  'pi/large-session.jsonl',
].map((file) => ({
  name: file,
  file,
  others: file.endsWith('with-subagent.jsonl') ? ['claude-code/with-subagent.agent-a485154.jsonl'] : [],
}))

export interface Desk {
  log: TestLog
  client: Client
  close(): Promise<void>
}

/** A client whose nudges reach nobody. */
export async function openDesk(principal = 'ann'): Promise<Desk> {
  const log = await openLog()
  return { log, client: clientOver(log, principal), close: () => log.close() }
}

export function clientOver(log: TestLog, principal: string): Client {
  return createClient({
    encoder: createEncoder(),
    log: log.client,
    nudge: () => Promise.resolve({ nudged: false, why: 'nobody is there' }),
    space: 'default',
    actor: `user:${principal}`,
    disconnect: () => Promise.resolve(),
  })
}

export async function eventsOf({ log }: Desk, session: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = []
  for (;;) {
    const page = await log.client.read({ space: 'default', session }, { from: events.length + 1 })
    if (page.length === 0) return events
    events.push(...page)
  }
}

export function known(events: readonly StoredEvent[]): KnownEvent[] {
  return events.flatMap((event) => parseEvent(event) ?? [])
}

/** What is said, in view order and from the first event on: roles, blocks, calls and results, with no ids and no times. */
export async function toldBy(desk: Desk, session: string): Promise<unknown[]> {
  const events = known(await eventsOf(desk, session))
  const { definition } = await desk.client.info(session)
  const late = events.filter(({ type }) => type === 'message_received' || type === 'interrupted')
  const seen = new Set(events.flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : [])))
  const unseen = late.flatMap(({ seq }) => (seen.has(seq) ? [] : [seq]))
  const view = buildView(events, await desk.client.definition(definition), unseen, { raw: true })
  return entriesTold(view)
}

/** The session, its forks below it, and the sub-agents of all of them. */
export async function familyOf(desk: Desk, session: string): Promise<{ forks: string[]; children: string[] }> {
  const all = await desk.client.list({ limit: 1000 })
  const inFamily = new Set([session])
  for (let grown = true; grown;) {
    grown = false
    for (const { session: id, parent } of all)
      if (parent && inFamily.has(parent.session) && !inFamily.has(id)) grown = Boolean(inFamily.add(id))
  }
  const children: string[] = []
  for (const id of inFamily)
    for (const event of known(await eventsOf(desk, id)))
      if (event.type === 'child_started') children.push(event.payload.child)
  return { forks: [...inFamily].filter((id) => id !== session), children: [...new Set(children)] }
}

export function bring(desk: Desk, name: string, options: TranscriptOptions = {}): Promise<TranscriptImported> {
  const others = FIXTURES.find(({ file }) => file === name)?.others ?? []
  return desk.client.importTranscript(fixture(name), { others: others.map(fixture), ...options })
}
