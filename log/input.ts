/** A person's append (PROTOCOL.md rule 4): no lease, no expected head; a key makes it happen once, and a loser gets the stored event. */
import type { Pool } from 'pg'
import { toolNamed } from '../contract/definition'
import { SavefileError, errorCode } from '../contract/errors'
import { PAYLOADS, type NewEvent, type Payload } from '../contract/events'
import type { SessionRef } from '../contract/ids'
import { MAX_MESSAGE_BYTES } from '../contract/limits'
import type { InputEvent, InputResult, Principal } from '../contract/client-port'
import { externalise, prepare, type WriteBlob } from './content'
import type { Definitions } from './definitions'
import { gather } from './gather'
import { query, queryRow } from './pool'
import { fieldsOf, preparedValue } from './prepared'
import { refuseQueues } from './sessions'
import { eventSlot, type Sealer, type Vault } from './vault'

interface Row {
  status: Exclude<InputResult['status'], 'arrived_late'> | 'definition_not_found'
  seq: number | null
  head: number | null
}

/** No control characters: they are written to logs and shown. */
const KEY = /^[^\p{Cc}\p{Cs}]{1,200}$/u
const ACTOR = /^user:[\x21-\x7e]{1,200}$/

/** Where inputs go, and with what: `append` is of `createAppendInput`. */
export interface InputDeps {
  pool: Pool
  vault: Vault
  definitions: Definitions
  append: AppendInput
}

/** @throws SavefileError `invalid_input`, `too_large`, `definition_not_found`, `blob_not_found`, `key_missing`, `key_destroyed` */
export async function input(
  { pool, vault, definitions, append }: InputDeps,
  writeBlob: WriteBlob,
  ref: SessionRef,
  by: Principal,
  key: string,
  event: InputEvent,
): Promise<InputResult> {
  checkInput(by, key, event)
  if (event.type === 'tool_finished' && !(await isDeferred(pool, vault, definitions, ref, event.payload.call)))
    return { status: 'call_not_found' }
  await touchBlobs(pool, ref, event)
  let stored: NewEvent
  try {
    stored = await externalise<NewEvent>(event, writeBlob)
  } catch (error) {
    // A long text becomes a blob of its session, so this is where it is missed first.
    if (errorCode(error) === 'session_not_found') return { status: 'session_not_found' }
    throw error
  }
  const sealer = await vault.sealer(ref)
  if (sealer && event.type === 'definition_changed')
    await refuseQueues(definitions, ref.space, event.payload.definition)
  const row = await append(ref, by, key, stored, sealer)
  switch (row.status) {
    case 'definition_not_found':
      throw new SavefileError(
        'definition_not_found',
        `There is no such definition in space ${ref.space}. Store it first.`,
        { space: ref.space },
      )
    case 'appended':
    case 'duplicate':
      return { status: row.status, seq: row.seq ?? 0, head: row.head ?? 0 }
    case 'already_resolved':
      if (stored.type === 'tool_finished' && (await isOurs(pool, ref, row.seq ?? 0)))
        return late(append, sealer, ref, by, key, stored.payload)
      return { status: row.status, seq: row.seq ?? 0 }
    default:
      return { status: row.status }
  }
}

type Values = [
  space: string,
  session: string,
  actor: string,
  key: string,
  type: string,
  v: number,
  subject: string | null,
  payload: string,
  definition: string | null,
]
export type AppendInput = (
  ref: SessionRef,
  by: Principal,
  key: string,
  event: NewEvent,
  sealer: Sealer | null,
) => Promise<Row>

/** `alone`: one at a time, as a token has it, whose function checks what it may in one session. */
export function createAppendInput(pool: Pool, { alone }: { alone: boolean }): AppendInput {
  const one = async (values: Values): Promise<Row> => {
    const call = 'savefile.input($1, $2, $3, $4, $5, $6, $7, $8, $9)'
    // A token's statement is one of several of its transaction.
    if (alone) return queryRow<Row & Record<string, unknown>>(pool, `select * from ${call}`, values)
    const [status, seq, head] = fieldsOf(await preparedValue(pool, `select ${call}`, values))
    return {
      status: status as Row['status'],
      seq: seq === null ? null : Number(seq),
      head: head === null ? null : Number(head),
    }
  }
  const together = gather<Values, Row>({
    one,
    bytes: ([, , , , , , , payload]) => payload.length,
    async many(calls) {
      const rows = await query<Omit<Row, 'status'> & { status: Row['status'] | 'busy' } & Record<string, unknown>>(
        pool,
        'select * from savefile.input_many($1, $2, $3, $4, $5, $6, $7, $8, $9)',
        (calls[0] ?? []).map((_, column) => calls.map((values) => values[column])),
      )
      return rows.map(({ status, seq, head }) => (status === 'busy' ? null : { status, seq, head }))
    },
  })
  const send = alone ? one : together
  return (ref, by, key, event, sealer) => {
    const { type, v, payload } = prepare(event, sealer)
    return send([
      ref.space,
      ref.session,
      by.actor,
      key,
      type,
      v,
      'call' in event.payload ? (event.payload.call ?? null) : null,
      payload,
      event.type === 'definition_changed' ? event.payload.definition : null,
    ])
  }
}

/** Whether the result there is an executor's word that none came (`unknown`, `cancelled`), and nobody's own. */
async function isOurs(pool: Pool, ref: SessionRef, seq: number): Promise<boolean> {
  const rows = await query<{ actor: string }>(pool, 'select actor from savefile.read_events($1, $2, $3, $3, 1)', [
    ref.space,
    ref.session,
    seq,
  ])
  return rows[0]?.actor.startsWith('tool:') ?? false
}

/** L8: evidence, never a second result. */
async function late(
  append: AppendInput,
  sealer: Sealer | null,
  ref: SessionRef,
  by: Principal,
  key: string,
  { call, tool, outcome, blocks }: Payload<'tool_finished'>,
): Promise<InputResult> {
  const evidence = { type: 'result_arrived_late', payload: { call, tool, outcome, blocks } } as const
  const row = await append(ref, by, key, evidence, sealer)
  if (row.status === 'appended' || row.status === 'duplicate')
    return { status: 'arrived_late', seq: row.seq ?? 0, head: row.head ?? 0 }
  if (row.status === 'idempotency_conflict' || row.status === 'session_not_found') return { status: row.status }
  throw new Error(`a late result was answered with ${row.status}`)
}

/** What was stored before, perhaps long ago, is protected from retention until the event is there. */
async function touchBlobs(pool: Pool, ref: SessionRef, event: InputEvent): Promise<void> {
  const blocks = 'blocks' in event.payload ? event.payload.blocks : []
  const hashes = blocks.flatMap((block) => ('blob' in block && block.blob ? [block.blob.hash] : []))
  if (hashes.length === 0) return
  const { missing } = await queryRow<{ missing: string[] }>(
    pool,
    'select savefile.touch_blobs($1, $2, $3) as missing',
    [ref.space, ref.session, hashes],
  )
  const [hash] = missing
  if (hash !== undefined)
    throw new SavefileError(
      'blob_not_found',
      `Session ${ref.session} refers to no blob ${hash}. Send the file itself.`,
      {
        ...ref,
        hash,
      },
    )
}

function checkInput(by: Principal, key: string, event: InputEvent): void {
  if (!ACTOR.test(by.actor))
    throw new SavefileError(
      'invalid_input',
      'Who speaks must be "user:" and 1 to 200 printable ASCII characters without spaces.',
    )
  if (!KEY.test(key))
    throw new SavefileError(
      'invalid_input',
      'The idempotency key must be 1 to 200 characters, none of them a control character.',
    )
  const { success, error } = PAYLOADS[event.type].safeParse(event.payload)
  if (success) return checkSize(event)
  const problems = error.issues.map((issue) => ({ field: issue.path.join('.'), problem: issue.message }))
  throw new SavefileError(
    'invalid_input',
    `The ${event.type} does not validate:\n${problems.map((p) => `  ${p.field}: ${p.problem}`).join('\n')}`,
    { problems },
  )
}

function checkSize(event: InputEvent): void {
  if (!('blocks' in event.payload)) return
  let bytes = 0
  for (const block of event.payload.blocks) {
    if (block.type === 'text') bytes += Buffer.byteLength(block.text)
    if ('blob' in block) bytes += block.blob?.bytes ?? 0
  }
  if (bytes > MAX_MESSAGE_BYTES)
    throw new SavefileError(
      'too_large',
      `A message of ${bytes} bytes is too large; ${MAX_MESSAGE_BYTES} are allowed, files included.`,
      { bytes, limit: MAX_MESSAGE_BYTES },
    )
}

/**
 * Whether the definition that the call's answer ran under says that somebody else finishes it. Of any other tool an executor has the
 * result, or will: a person's would let the tool run after its result is in the log.
 */
async function isDeferred(
  pool: Pool,
  vault: Vault,
  definitions: Definitions,
  ref: SessionRef,
  call: string,
): Promise<boolean> {
  const due = /^[^:]+:(\d+)\.\d+$/.exec(call)?.[1]
  if (due === undefined) return false
  const rows = await query<{ payload: Buffer; type: string }>(
    pool,
    `select e.payload, e.type from savefile.lineage l
     join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = $3 and e.seq between l.lo and l.hi
     where l.space_id = $1 and l.session_id = $2`,
    [ref.space, ref.session, `x:model@${due}`],
  )
  const [row] = rows
  if (!row) return false
  const text = await vault.openText(ref.space, eventSlot(row.type), row.payload.toString('utf8'))
  const answer = JSON.parse(text) as Partial<Payload<'model_answered'>>
  const block = answer.blocks?.find((b) => b.type === 'tool_call' && b.call === call)
  if (block?.type !== 'tool_call' || !answer.manifest) return false
  return toolNamed(await definitions.get(ref.space, answer.manifest.definition), block.name)?.deferred ?? false
}
