/** gzip and zstd around a bundle: by the file's name on the way out, by the first bytes on the way in. */
import { PassThrough, Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as zlib from 'node:zlib'
import { SavefileError } from '../../contract/errors'
import type { BundleLimits } from '../../contract/bundle-port'
import { invalid } from './refusals'

export type Packing = 'none' | 'gzip' | 'zstd'

/** Above it a bundle is hardly smaller, and takes thrice the time. */
const GZIP_LEVEL = 4

/** What Node has from 22.15 on. */
interface Zstd {
  createZstdCompress?: () => Duplex
  createZstdDecompress?: () => Duplex
}

export function packingOf(fileName: string): Packing {
  return fileName.endsWith('.gz') ? 'gzip' : fileName.endsWith('.zst') ? 'zstd' : 'none'
}

function zstd(which: keyof Zstd): Duplex {
  const make = (zlib as Zstd)[which]
  if (make) return make()
  throw new SavefileError(
    'invalid_input',
    `This Node (${process.versions.node}) has no zstd; 22.15 and later have. Use gzip, or the tool zstd.`,
  )
}

/** @throws SavefileError `invalid_input` where this Node has no zstd. */
export function pack(bytes: AsyncIterable<Uint8Array>, packing: Packing): AsyncIterable<Uint8Array> {
  if (packing === 'none') return bytes
  return through(bytes, packing === 'gzip' ? zlib.createGzip({ level: GZIP_LEVEL }) : zstd('createZstdCompress'))
}

/** The bytes of a bundle, unpacked where they are packed. @throws SavefileError `invalid_bundle` where they unpack to too much. */
export async function* unpack(packed: AsyncIterable<Uint8Array>, limits: BundleLimits): AsyncGenerator<Buffer> {
  let taken = 0
  const counted = async function* (from: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of from) {
      taken += chunk.length
      yield chunk
    }
  }
  const { first, all } = await peek(packed)
  const unpacker = first.subarray(0, 2).equals(GZIP)
    ? zlib.createGunzip()
    : first.subarray(0, 4).equals(ZSTD)
      ? zstd('createZstdDecompress')
      : null
  let given = 0
  try {
    for await (const chunk of unpacker ? through(counted(all), unpacker) : all) {
      given += chunk.length
      if (given > limits.totalBytes) throw invalid(null, `it holds more than ${limits.totalBytes} bytes`)
      if (unpacker && given > limits.ratioFromBytes && given > taken * limits.ratio)
        throw invalid(null, `it unpacks to more than ${limits.ratio} times its size, as no log does`)
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    }
  } catch (error) {
    const code = (error as { code?: unknown } | null)?.code
    if (typeof code === 'string' && /^(Z_|ERR_ZSTD|ZSTD_)/.test(code))
      throw invalid(null, `it does not unpack (${code}): it was cut or changed`, error)
    throw error
  }
}

const GZIP = Buffer.from('1f8b', 'hex')
const ZSTD = Buffer.from('28b52ffd', 'hex')

async function peek(from: AsyncIterable<Uint8Array>): Promise<{ first: Buffer; all: AsyncIterable<Uint8Array> }> {
  const iterator = from[Symbol.asyncIterator]()
  const heads: Uint8Array[] = []
  while (heads.reduce((n, h) => n + h.length, 0) < 4) {
    const next = await iterator.next()
    if (next.done) break
    heads.push(next.value)
  }
  const first = Buffer.concat(heads)
  return {
    first,
    all: (async function* () {
      try {
        if (first.length > 0) yield first
        for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
      } finally {
        await iterator.return?.()
      }
    })(),
  }
}

/** A failure on either side is the reader's. */
async function* through(from: AsyncIterable<Uint8Array>, by: Duplex): AsyncGenerator<Uint8Array> {
  const out = new PassThrough({ highWaterMark: 256 * 1024 })
  const done = pipeline(Readable.from(from, { objectMode: false, highWaterMark: 256 * 1024 }), by, out)
  done.catch(() => undefined) // told below
  try {
    for await (const chunk of out) yield chunk as Uint8Array
  } catch (error) {
    await done // its own error, where it is the first
    throw error
  } finally {
    out.destroy()
  }
  await done
}
