/** A session in another form than its own: what it is made of, read page by page up to the head of now. */
import { SavefileError, errorCode } from '../contract/errors'
import { ProviderName } from '../contract/definition'
import type { Manifest, StoredEvent } from '../contract/events'
import type { ClientLog, SessionInfo } from '../contract/client-port'
import type { ExportSettings, ExportSource } from '../transcripts/exporting'
import { EXPORTERS } from '../transcripts/formats'
import type { Context, ContextOptions } from './context'
import { modelNamed } from './model-named'
import { storedEvents } from './stored-events'

export interface ExportAsOptions extends ExportSettings {
  /** Of a provider's request: as if no checkpoint had been made. */
  raw?: boolean
  /** Of a provider's request: what it does not take, or not as it is. */
  onDropped?: (dropped: Manifest['dropped'][number]) => void
  /** Its forks come along, where the format has branches. */
  forks?: boolean
  /** Events so far. */
  onProgress?: (events: number) => void
}

interface ExportParts {
  log: ClientLog
  space: string
  info(session: string): Promise<SessionInfo>
  context(session: string, options: ContextOptions): Promise<Context>
}

export function exportFormats(): string[] {
  return [...Object.keys(EXPORTERS), ...ProviderName.options]
}

export function createExports({ log, space, info, context }: ExportParts) {
  return {
    async *exportAs(session: string, format: string, options: ExportAsOptions = {}): AsyncGenerator<string> {
      const { provider, name: model } = modelNamed(format)
      if (provider) {
        // A request is one piece: it is what the adapter would send, by its own encoder.
        const made = await context(session, { as: { provider, model }, next: true, raw: options.raw })
        options.onProgress?.(made.seq)
        for (const one of made.dropped) options.onDropped?.(one)
        return void (yield `${made.body}\n`)
      }
      const exporter = Object.hasOwn(EXPORTERS, format) ? EXPORTERS[format] : undefined
      if (!exporter)
        throw new SavefileError(
          'invalid_input',
          `There is no format ${JSON.stringify(format.slice(0, 40))}; there are ${exportFormats().join(', ')}.`,
          { formats: exportFormats() },
        )
      const { forks = false, onProgress, ...settings } = options
      let events = 0
      const source = sourceOf(await info(session), forks, () => onProgress?.(++events))
      yield* exporter(source, settings)
    },
  }

  function sourceOf(of: SessionInfo, forks: boolean, read: () => void): ExportSource {
    const ref = { space, session: of.session }
    // Some formats go through it twice: an event counts once.
    let furthest = 0
    return {
      info: of,
      async *events(): AsyncGenerator<StoredEvent> {
        for await (const event of storedEvents(log, ref, of.head)) {
          if (event.seq > furthest) read()
          furthest = Math.max(furthest, event.seq)
          yield event
        }
      },
      definition: (hash) => orNull(log.definition(space, hash), ['definition_not_found']),
      blob: (hash) => orNull(log.readBlob(ref, hash), ['blob_not_found', 'key_missing', 'key_destroyed']),
      async forks() {
        if (!forks) return []
        const family = await log.family(ref)
        const own = family.filter(({ parent, custody }) => parent?.session === of.session && custody !== 'stub')
        return own.map((fork) => sourceOf(fork, forks, read))
      },
      async child(session) {
        const child = await log.info({ space, session })
        return child && child.custody !== 'stub' ? sourceOf(child, forks, read) : null
      },
    }
  }
}

async function orNull<T>(promise: Promise<T>, codes: readonly string[]): Promise<T | null> {
  try {
    return await promise
  } catch (error) {
    if (codes.includes(errorCode(error) ?? '')) return null
    throw error
  }
}
