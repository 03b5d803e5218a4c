/** How sessions are related: the family of a session, and where two of them part. */
import type { ClientLog, SessionInfo, Stretch } from '../contract/client-port'
import type { SessionRef } from '../contract/ids'
import { sessionNotFound } from './refusals'

/** A session of a family, with its forks. */
export interface FamilyMember {
  info: SessionInfo
  /** What its definition names now. */
  model: { provider: string; name: string }
  /** By the event that they branched at. */
  forks: FamilyMember[]
}

/** Where two sessions part. */
export interface SessionDiff {
  /** The last event that both share; 0 where they have nothing in common. */
  shared: number
  /** The session whose own row that event is; null where there is none. */
  ancestor: string | null
  a: DiffSide
  b: DiffSide
}

export interface DiffSide {
  info: SessionInfo
  /** How many events of its own come after the last shared one. */
  events: number
  definition: string
}

export async function familyOf(log: ClientLog, ref: SessionRef): Promise<FamilyMember> {
  const members = new Map<string, FamilyMember>()
  let root: FamilyMember | undefined
  for (const info of await log.family(ref)) {
    const { provider, name } = (await log.definition(ref.space, info.definition)).model
    const member: FamilyMember = { info, model: { provider, name }, forks: [] }
    members.set(info.session, member)
    const parent = members.get(info.parent?.session ?? info.compactedFrom ?? '')
    if (parent) parent.forks.push(member)
    else root ??= member
  }
  if (!root) throw sessionNotFound(ref.session, ref.space)
  return root
}

export async function diffOf(log: ClientLog, a: SessionRef, b: SessionRef): Promise<SessionDiff> {
  const side = async (ref: SessionRef): Promise<{ info: SessionInfo; of: Stretch[] }> => {
    const info = await log.info(ref)
    if (!info) throw sessionNotFound(ref.session, ref.space)
    return { info, of: await log.stretches(ref) }
  }
  const [one, other] = await Promise.all([side(a), side(b)])
  const { shared, ancestor } = sharedUpTo(one.of, other.of)
  const shown = ({ info }: { info: SessionInfo }): DiffSide => ({
    info,
    events: info.head - shared,
    definition: info.definition,
  })
  return { shared, ancestor, a: shown(one), b: shown(other) }
}

/** Stretches of one log are the same events up to the shorter one's end; then the two have parted. Pure. */
export function sharedUpTo(a: readonly Stretch[], b: readonly Stretch[]): { shared: number; ancestor: string | null } {
  let shared = 0
  let ancestor: string | null = null
  for (const [i, one] of a.entries()) {
    const other = b[i]
    if (other?.session !== one.session || other.lo !== one.lo) break
    shared = Math.min(one.hi, other.hi)
    ancestor = one.session
    if (one.hi !== other.hi) break
  }
  return { shared, ancestor }
}
