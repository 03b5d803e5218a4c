/** Blobs by the hash of their stored bytes, within a space; read only by a session that refers to them, or inherits from one that does. */
import type { Pool } from 'pg'
import type { BlobRef } from '../contract/blocks'
import { SavefileError } from '../contract/errors'
import type { SessionRef } from '../contract/ids'
import { MAX_BLOB_BYTES } from '../contract/limits'
import { queryRow } from './pool'
import { BLOB_SLOT, type Vault } from './vault'

/** What an encrypted blob is to the database; what it really is stands in the event that refers to it. */
export const SEALED_TYPE = 'application/vnd.savefile.sealed'

/** @throws SavefileError `too_large`, `session_not_found` */
export async function writeBlob(
  pool: Pool,
  vault: Vault,
  ref: SessionRef,
  bytes: Uint8Array,
  mediaType: string,
): Promise<BlobRef> {
  if (bytes.length > MAX_BLOB_BYTES)
    throw new SavefileError(
      'too_large',
      `A file of ${bytes.length} bytes is too large; ${MAX_BLOB_BYTES} are allowed.`,
      { bytes: bytes.length, limit: MAX_BLOB_BYTES },
    )
  if (mediaType === SEALED_TYPE)
    throw new SavefileError('invalid_input', `The media type ${SEALED_TYPE} is the log's own. Say what the file is.`)
  const sealer = await vault.sealer(ref)
  const buffer = sealer?.bytes(BLOB_SLOT, bytes) ?? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { hash } = await queryRow<{ hash: string | null }>(pool, 'select savefile.put_blob($1, $2, $3, $4) as hash', [
    ref.space,
    ref.session,
    sealer ? SEALED_TYPE : mediaType,
    buffer,
  ])
  if (hash === null)
    throw new SavefileError('session_not_found', `There is no session ${ref.session} in space ${ref.space}.`, {
      ...ref,
    })
  return { hash, bytes: bytes.length, mediaType }
}

/** @throws SavefileError `blob_not_found`, also where this session has no reference to it; `key_missing`, `key_destroyed` */
export async function readBlob(pool: Pool, vault: Vault, ref: SessionRef, hash: string): Promise<Uint8Array> {
  // As hex text: in binary mode pg reads bytes as UTF-8.
  const { content, media_type } = await queryRow<{ content: Buffer | null; media_type: string | null }>(
    pool,
    'select savefile.get_blob($1, $2, $3) as content, (select media_type from savefile.blobs where space_id = $1 and hash = $3)',
    [ref.space, ref.session, hash],
  )
  if (!content)
    throw new SavefileError('blob_not_found', `Session ${ref.session} refers to no blob ${hash}.`, { ...ref, hash })
  return media_type !== SEALED_TYPE ? content : vault.openBytes(ref.space, BLOB_SLOT, content)
}
