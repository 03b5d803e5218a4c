/** The executor's append (PROTOCOL.md rule 3): arrays into one SQL function, which fences, drops what is there, chains and inserts. */
import type { Pool } from 'pg'
import type { Payload } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import type { PlannedEvent } from '../contract/next-step'
import type { Append, Appended, Evidence, Finish, Outlook } from '../contract/ports'
import { externalise, prepare, type WriteBlob } from './content'
import { gather } from './gather'
import { firstRow, queryRow, query } from './pool'
import { fieldsOf, preparedQuery, preparedValue } from './prepared'
import type { Sealer, Vault } from './vault'

interface Row {
  status: Appended['status']
  head: number | null
  seqs: number[] | null
}

/** What an event's structural key is made of; the function composes the key itself. */
function subjectOf(event: PlannedEvent): string {
  switch (event.type) {
    case 'model_answered':
    case 'model_failed':
      return event.payload.step
    case 'approval_requested':
    case 'approval_resolved':
    case 'tool_started':
    case 'tool_finished':
    case 'result_arrived_late':
      return event.payload.call
    case 'checkpoint_made':
      return event.payload.step ?? ''
    case 'interrupted':
    case 'turn_finished':
      return String(event.payload.turn)
    case 'child_started':
    case 'child_finished':
      return event.payload.child
    default:
      return ''
  }
}

interface Columns {
  types: string[]
  vs: number[]
  subjects: string[]
  tools: (string | null)[]
  payloads: (string | null)[]
  drafts: (string | null)[]
}

function columnsOf(events: readonly PlannedEvent[], evidence: readonly Evidence[], sealer: Sealer | null): Columns {
  const columns: Columns = { types: [], vs: [], subjects: [], tools: [], payloads: [], drafts: [] }
  const add = (event: PlannedEvent, draft: string | null, moved: boolean): void => {
    const { type, v, payload } = moved ? { type: event.type, v: 0, payload: null } : prepare(event, sealer)
    columns.types.push(type)
    columns.vs.push(v)
    columns.subjects.push(subjectOf(event))
    columns.tools.push('tool' in event.payload ? event.payload.tool : null)
    columns.payloads.push(payload)
    columns.drafts.push(draft)
  }
  for (const event of events) add(event, event.fromDraft ?? null, event.fromDraft !== undefined)
  for (const { token, payload } of evidence) {
    const { call, tool, outcome, blocks } = JSON.parse(payload) as Payload<'tool_finished'>
    add({ type: 'result_arrived_late', payload: { call, tool, outcome, blocks } }, token, false)
  }
  return columns
}

/** The arguments of the append functions, behind the session's. */
function argumentsOf(
  { epoch, head, outlook }: Append,
  { types, vs, subjects, tools, payloads, drafts }: Columns,
): unknown[] {
  return [epoch, head, types, vs, subjects, tools, payloads, drafts, outlook.state, outlook.dueAt]
}

function appendedOf(row: Row): Appended {
  if (row.status === 'appended') return { status: 'appended', head: row.head ?? 0, seqs: row.seqs ?? [] }
  if (row.status === 'head_moved') return { status: 'head_moved', head: row.head ?? 0 }
  return { status: row.status }
}

interface Call {
  ref: SessionRef
  what: Append
  columns: Columns
}

export type AppendEvents = (ref: SessionRef, what: Append, evidence: readonly Evidence[]) => Promise<Appended>

/** An event that comes alone and brings its payload, as most do: without the arrays. */
async function appendOneOf(pool: Pool, { ref, what: { epoch, head, outlook }, columns }: Call): Promise<Appended> {
  const { types, vs, subjects, tools, payloads } = columns
  const row = await preparedValue(pool, 'select savefile.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)', [
    ref.space,
    ref.session,
    epoch,
    head,
    types[0],
    vs[0],
    subjects[0],
    tools[0],
    payloads[0],
    outlook.state,
    outlook.dueAt,
  ])
  const [status, headNow, seq] = fieldsOf(row)
  return appendedOf({ status: status as Row['status'], head: Number(headNow), seqs: [Number(seq?.slice(1, -1))] })
}

/** `seqs`: of the events, then of the evidence, each as it is stored, also where it was there before. */
export function createAppend(pool: Pool, vault: Vault): AppendEvents {
  const appendOne = gather<Call, Appended>({
    bytes: ({ columns }) => columns.payloads.reduce((sum, payload) => sum + (payload?.length ?? 0), 0),
    async one(call) {
      const { ref, what, columns } = call
      if (columns.types.length === 1 && columns.drafts[0] === null) return appendOneOf(pool, call)
      const row = await queryRow<Row & Record<string, unknown>>(
        pool,
        'select * from savefile.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)',
        [ref.space, ref.session, ...argumentsOf(what, columns)],
      )
      return appendedOf(row)
    },
    async many(calls) {
      const all = (column: keyof Columns): unknown[] => calls.flatMap(({ columns }): unknown[] => columns[column])
      const rows = await query<Omit<Row, 'status'> & { status: Row['status'] | 'busy' } & Record<string, unknown>>(
        pool,
        'select * from savefile.append_many($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)',
        [
          calls.map(({ ref }) => ref.space),
          calls.map(({ ref }) => ref.session),
          calls.map(({ what }) => what.epoch),
          calls.map(({ what }) => what.head),
          calls.map(({ columns }) => columns.types.length),
          calls.map(({ what }) => what.outlook.state),
          calls.map(({ what }) => what.outlook.dueAt),
          all('types'),
          all('vs'),
          all('subjects'),
          all('tools'),
          all('payloads'),
          all('drafts'),
        ],
      )
      return rows.map(({ status, head, seqs }) => (status === 'busy' ? null : appendedOf({ status, head, seqs })))
    },
  })
  return async (ref, what, evidence) =>
    appendOne({ ref, what, columns: columnsOf(what.events, evidence, await vault.sealer(ref)) })
}

/** A step's end and what it leads to. Refused: the row is not the token's any more, and nothing was appended. */
export async function finishAndAppend(
  pool: Pool,
  vault: Vault,
  writeBlob: WriteBlob,
  ref: SessionRef,
  { step, token, event }: Finish,
  what: Append,
): Promise<Appended | { status: 'refused' }> {
  const sealer = await vault.sealer(ref)
  const { type, v, payload } = prepare(await externalise(event, writeBlob), sealer)
  const text =
    'select * from savefile.finish_and_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)'
  const rows = await preparedQuery<Row & { finished: 'finished' | 'refused' } & Record<string, unknown>>(pool, text, [
    ...[ref.space, ref.session, step, token, type, v, payload],
    ...argumentsOf(what, columnsOf(what.events, [], sealer)),
  ])
  const row = firstRow(rows, text)
  return row.finished === 'refused' ? { status: 'refused' } : appendedOf(row)
}

/** `head`: nothing is written where the head is another by now, so that what somebody said meanwhile stays due. */
export async function setOutlook(
  pool: Pool,
  ref: SessionRef,
  epoch: number,
  outlook: Outlook,
  head?: number,
): Promise<void> {
  await query(pool, 'select savefile.set_outlook($1, $2, $3, $4, $5, $6)', [
    ref.space,
    ref.session,
    epoch,
    head ?? null,
    outlook.state,
    outlook.dueAt,
  ])
}
