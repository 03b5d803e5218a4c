/** What a bundle of a session holds, found before the first line is written: heads are fixed here, and what is below them never changes. */
import type { Pool } from 'pg'
import { SavefileError } from '../../contract/errors'
import type { SessionRef } from '../../contract/ids'
import { query } from '../pool'
import type { SessionLine } from './format'

export interface Contents {
  session: string
  head: number
  hash: string
  definitions: string[]
  /** Ancestors before those that go on from them. */
  parts: SessionLine[]
}

interface Row extends Record<string, unknown> {
  session_id: string
  head: number
  hash: string
  parent_id: string | null
  title: string | null
  labels: string
  custody: string
  /** Its lineage, its own stretch last. */
  srcs: string[]
  los: number[]
  his: number[]
}

interface Part {
  row: Row
  from: number
  to: number
  whole: boolean
  marks: Set<number>
}

const SESSION = `select s.session_id, s.head, encode(s.head_hash, 'hex') as hash, s.parent_id, s.title, s.labels, s.custody, l.srcs, l.los, l.his
  from savefile.sessions s
  cross join lateral (
    select array_agg(x.src order by x.lo) as srcs, array_agg(x.lo order by x.lo) as los, array_agg(x.hi order by x.lo) as his
    from savefile.lineage x where x.space_id = s.space_id and x.session_id = s.session_id) l
  where s.space_id = $1 and s.session_id = $2`

/** Children by the key of the event that started them: it is in the clear also where the payload is not. */
const CHILDREN = `select substr(e.key, 9) as child from savefile.events e
  where e.space_id = $1 and e.session_id = $2 and e.type = 'child_started' and e.seq <= $3 order by e.seq`

/** @throws SavefileError `session_not_found`, `session_stub` */
export async function contentsOf(pool: Pool, ref: SessionRef): Promise<Contents> {
  const { space } = ref
  const rowOf = async (session: string): Promise<Row | null> =>
    (await query<Row>(pool, SESSION, [space, session]))[0] ?? null
  const main = await rowOf(ref.session)
  if (!main)
    throw new SavefileError('session_not_found', `There is no session ${ref.session} in space ${space}.`, { ...ref })
  if (main.custody === 'stub' || main.custody === 'arriving')
    throw new SavefileError(
      'session_stub',
      `Of session ${ref.session} only a stretch is here, which came with a fork of it. Export the fork, or import the session itself.`,
      { ...ref },
    )

  const parts = new Map<string, Part>()
  /** In the order in which they are written: a map keeps it. */
  async function add(row: Row, to: number, whole: boolean): Promise<void> {
    const known = parts.get(row.session_id)
    if (known) {
      known.to = Math.max(known.to, to)
      known.whole ||= whole
      return
    }
    for (const [i, src] of row.srcs.entries()) {
      const [lo, hi] = [row.los[i] as number, row.his[i] as number]
      if (src === row.session_id) {
        parts.set(src, { row, from: lo, to, whole, marks: new Set() })
        break
      }
      const base = parts.get(src)?.row ?? (await rowOf(src))
      if (!base)
        throw new SavefileError('corrupt_log', `Session ${row.session_id} goes on from ${src}, which is not there.`, {
          ...ref,
        })
      const before = parts.get(src)
      if (before) before.to = Math.max(before.to, hi)
      else parts.set(src, { row: base, from: lo, to: hi, whole: false, marks: new Set() })
      parts.get(src)?.marks.add(hi)
    }
  }

  await add(main, main.head, true)
  for (const queue = [main]; queue.length > 0;) {
    const parent = queue.shift() as Row
    for (const { child } of await query<{ child: string }>(pool, CHILDREN, [space, parent.session_id, parent.head])) {
      const row = parts.get(child)?.whole ? null : await rowOf(child)
      if (!row || row.custody === 'stub' || row.custody === 'arriving') continue
      await add(row, row.head, true)
      queue.push(row)
    }
  }
  const lines: SessionLine[] = []
  for (const part of parts.values()) lines.push(await sessionLine(pool, space, part))
  return {
    session: ref.session,
    head: main.head,
    hash: main.hash,
    definitions: await definitionsOf(pool, space, lines),
    parts: lines,
  }
}

async function sessionLine(pool: Pool, space: string, { row, from, to, whole, marks }: Part): Promise<SessionLine> {
  const last = row.srcs.length - 2
  const base = last < 0 ? null : { session: row.srcs[last] as string, seq: row.his[last] as number }
  const edges = await query<{ seq: number; hash: string; kid: string | null }>(
    pool,
    "select seq, encode(hash, 'hex') as hash, kid from savefile.events where space_id = $1 and session_id = $2 and seq in ($3, $4)",
    [space, row.session_id, from, to],
  )
  const hash = edges.find((edge) => edge.seq === to)?.hash
  if (hash === undefined)
    throw new SavefileError('corrupt_log', `Event ${to} of session ${row.session_id} is missing.`, {
      session: row.session_id,
      seq: to,
    })
  const hidden = Boolean(edges.find((edge) => edge.seq === from)?.kid)
  return {
    k: 'session',
    session: row.session_id,
    base,
    parent: row.parent_id,
    from,
    to,
    hash,
    whole,
    marks: [...marks].filter((seq) => seq < to).sort((a, b) => a - b),
    ...(hidden && row.title !== null ? { title: row.title } : {}),
    ...(hidden ? { labels: row.labels } : {}),
  }
}

async function definitionsOf(pool: Pool, space: string, parts: readonly SessionLine[]): Promise<string[]> {
  const rows = await query<{ definition: string }>(
    pool,
    `select distinct d.definition collate "C" as definition from unnest($2::text[], $3::bigint[]) p (session_id, upto)
     join savefile.session_definitions d on d.space_id = $1 and d.session_id = p.session_id and d.seq <= p.upto order by 1`,
    [space, parts.map((p) => p.session), parts.map((p) => p.to)],
  )
  return rows.map((row) => row.definition)
}
