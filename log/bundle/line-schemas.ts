/** The shapes of the lines that are not events: those are many, and read by hand (event-line.ts). */
import { z } from 'zod'
import { nameProblem } from '../../contract/ids'

const Hash = z.string().regex(/^[0-9a-f]{64}$/)
const Name = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const Session = z.string().refine((id) => nameProblem('session id', id) === null, 'is no session id')
const Seq = z.int().positive()
const Count = z.int().nonnegative()

export const Header = z.strictObject({
  k: z.literal('savefile-bundle'),
  version: z.union([z.literal(1), z.literal(2)]),
  session: Session,
  head: Seq,
  hash: Hash,
})
export const DefinitionSchema = z.strictObject({ k: z.literal('definition'), hash: Name, body: z.string() })
export const SessionSchema = z.strictObject({
  k: z.literal('session'),
  session: Session,
  base: z.strictObject({ session: Session, seq: Seq }).nullable(),
  parent: Session.nullable(),
  from: Seq,
  to: Seq,
  hash: Hash,
  whole: z.boolean(),
  marks: z.array(Seq),
  title: z.string().optional(),
  labels: z.string().optional(),
})
export const KeySchema = z.strictObject({
  k: z.literal('key'),
  kid: z.string().regex(/^[a-z0-9]{16,64}$/),
  owner: z.string().min(1).max(200),
  wrapped: z.base64().min(4).max(10_924),
})
/** `chunks` lines follow, of CHUNK_BYTES each but the last; `sessions`: those of this bundle that refer to it. */
export const BlobSchema = z.strictObject({
  k: z.literal('blob'),
  hash: Name,
  mediaType: z.string(),
  size: Count,
  chunks: Count,
  sessions: z.array(Session).min(1),
})
export const ChunkSchema = z.strictObject({ k: z.literal('chunk'), data: z.string() })
export const EndSchema = z.strictObject({
  k: z.literal('end'),
  lines: Count,
  events: Count,
  blobs: Count,
  sessions: z.array(z.strictObject({ session: Session, from: Seq, to: Seq, events: Count, hash: Hash })),
  sha256: Hash,
})
