/** A work folder and a context for one test: real files, blobs kept in a map. */
import { createHash } from 'node:crypto'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobRef, ContentBlock } from '../../contract/blocks'
import type { ToolContext, ToolResult } from '../../contract/ports'

export interface TestContext extends ToolContext {
  workFolder: string
  blobs: Map<string, Uint8Array>
  live: string[]
  abort(): void
}

const made: string[] = []

/** A new folder, removed by `removeFolders`. */
export function newFolder(name = 'work'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `savefile-${name}-`)))
  made.push(folder)
  return folder
}

export function removeFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true })
}

export function newContext(workFolder = newFolder()): TestContext {
  const stop = new AbortController()
  const blobs = new Map<string, Uint8Array>()
  const live: string[] = []
  return {
    ref: { space: 'default', session: 's1' },
    call: 's1:2.0',
    idempotencyKey: 'key-1',
    signal: stop.signal,
    workFolder,
    blobs,
    live,
    abort: () => stop.abort(),
    onOutput: (chunk) => live.push(chunk),
    writeBlob(bytes, mediaType): Promise<BlobRef> {
      const hash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
      blobs.set(hash, bytes)
      return Promise.resolve({ hash, bytes: bytes.byteLength, mediaType })
    },
  }
}

export function textsOf(result: ToolResult): string {
  return result.blocks.flatMap((block: ContentBlock) => (block.type === 'text' ? [block.text] : [])).join('\n')
}

/** Waits for a fact; fails after the deadline. */
export async function until(fact: () => boolean | Promise<boolean>, what: string, ms = 15_000): Promise<void> {
  const end = Date.now() + ms
  while (!(await fact())) {
    if (Date.now() > end) throw new Error(`still not so after ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
