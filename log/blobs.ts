/** Blobs by the hash of their bytes, within a space; read only by a session that refers to them, or inherits from one that does. */
import type { Pool } from 'pg'
import type { BlobRef } from '../contract/blocks'
import { SavefileError } from '../contract/errors'
import type { SessionRef } from '../contract/ids'
import { MAX_BLOB_BYTES } from '../contract/limits'
import { queryRow } from './pool'

/** @throws SavefileError `too_large`, `session_not_found` */
export async function writeBlob(pool: Pool, ref: SessionRef, bytes: Uint8Array, mediaType: string): Promise<BlobRef> {
  if (bytes.length > MAX_BLOB_BYTES)
    throw new SavefileError(
      'too_large',
      `A file of ${bytes.length} bytes is too large; ${MAX_BLOB_BYTES} are allowed.`,
      { bytes: bytes.length, limit: MAX_BLOB_BYTES },
    )
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { hash } = await queryRow<{ hash: string | null }>(pool, 'select savefile.put_blob($1, $2, $3, $4) as hash', [
    ref.space,
    ref.session,
    mediaType,
    buffer,
  ])
  if (hash === null)
    throw new SavefileError('session_not_found', `There is no session ${ref.session} in space ${ref.space}.`, {
      ...ref,
    })
  return { hash, bytes: bytes.length, mediaType }
}

/** @throws SavefileError `blob_not_found`, also where this session has no reference to it. */
export async function readBlob(pool: Pool, ref: SessionRef, hash: string): Promise<Uint8Array> {
  // As hex text: in binary mode pg reads bytes as UTF-8.
  const { content } = await queryRow<{ content: Buffer | null }>(
    pool,
    'select savefile.get_blob($1, $2, $3) as content',
    [ref.space, ref.session, hash],
  )
  if (!content)
    throw new SavefileError('blob_not_found', `Session ${ref.session} refers to no blob ${hash}.`, { ...ref, hash })
  return content
}
