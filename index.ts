/** The package entry: what a program that uses Savefile imports. Every name is listed; nothing else is public. */
export { connect, type ConnectOptions } from './client/connect'
export { anchorKeyName, newAnchorKey, readAnchors } from './client/anchors'
export type { AuditEntry } from './client/audit'
export { packingOf, verifyBundle, type CheckedBundle, type ExportOptions, type Packing } from './client/bundles'
export type { TemporalSettings } from './client/addresses'
export type {
  Accepted,
  Answer,
  CheckpointRequest,
  Client,
  CompactRequest,
  CreateOptions,
  Decision,
  ForkRequest,
  SendOptions,
  WaitingForApproval,
  WaitOptions,
} from './client/types'
export type { Attachment, Content } from './client/content'
export type { Context, ContextOptions } from './client/context'
export type { LogEvent, UnknownEvent } from './client/log-events'
export type { DroppedKind, Migrated, MigrateRequest, MigrationReport } from './client/migrate'
export type { PendingApproval } from './client/approvals'
export type { ContextPart } from './client/token-estimates'
export type { DiffSide, FamilyMember, SessionDiff } from './client/family'
export type { GrantOptions, Granted, NewToken, SharingClient } from './client/sharing'
export type { ExportAsOptions } from './client/exports'
export {
  NOTES,
  type Note,
  type TranscriptFile,
  type TranscriptFormat,
  type TranscriptImported,
  type TranscriptOptions,
} from './client/transcripts'
export type { TurnEnd } from './client/turn-watch'
export {
  ASK_HEARTBEAT_MS,
  createAskActivity,
  type AskActivities,
  type AskInput,
  type AskResult,
} from './client/ask-activity'
export { textOf, type Block, type BlobRef, type ContentBlock } from './contract/blocks'
export { parseDefinition, type Definition, type DefinitionInput, type ToolSpec } from './contract/definition'
export { ERROR_CODES, SavefileError, errorCode, type ErrorCode } from './contract/errors'
export type { Delivery, EventType, KnownEvent, Payload, Right, StoredEvent, TurnReason, Usage } from './contract/events'
export type { Keyring, Rekeyed, Retained, RetentionOptions, Sharer, WrappedFor, WrappedKey } from './contract/keys'
export type { BundleLimits, BundleProgress, Imported, ImportedSession, ImportOptions } from './contract/bundle-port'
export type { Anchor, Grant, TokenInfo, SessionInfo, Verified, VerifyOptions } from './contract/client-port'
export type { Delta, Tool, ToolContext, ToolResult } from './contract/ports'
export { builtinSpecs } from './tools/builtin'
export { ToolFailure } from './tools/failure'
export { defineTool, toolSpec, type DefinedTool, type ToolAnswer, type ToolOptions } from './tools/tool'
