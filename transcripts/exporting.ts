/** What every export of a session reads from: page by page, so that memory stays flat however long the log is. */
import type { Definition } from '../contract/definition'
import type { StoredEvent } from '../contract/events'
import type { SessionInfo } from '../contract/client-port'

export interface ExportSource {
  /** As of the head that the export goes up to. */
  info: SessionInfo
  /** Every event up to that head, from the first. May be asked for again, and gives the same. */
  events(): AsyncIterable<StoredEvent>
  /** Null where it is not to be had. */
  definition(hash: string): Promise<Definition | null>
  /** Null where it cannot be read: it is not here, or its key is not. */
  blob(hash: string): Promise<Uint8Array | null>
  /** The sessions that branched off it, where they are to come along; and those of them in turn. */
  forks(): Promise<ExportSource[]>
  /** A sub-agent's session; null where it is not to be had. */
  child(session: string): Promise<ExportSource | null>
}

export interface ExportSettings {
  /** Of spans: what was said, called and given back, too. */
  content?: boolean
}

/** The text of an export, in pieces. The same head gives the same text. */
export type Exporter = (source: ExportSource, settings?: ExportSettings) => AsyncIterable<string>
