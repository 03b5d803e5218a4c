/** Sizes that are the same everywhere, in bytes unless the name says otherwise. */

/** What an event's payload may weigh; the database refuses more. */
export const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
/** A text block longer than this lives in a blob. */
export const INLINE_TEXT_BYTES = 64 * 1024
/** One blob. */
export const MAX_BLOB_BYTES = 64 * 1024 * 1024
/** What one message may weigh, blobs included. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024
/** What a model is sent of one tool's output; the rest is kept as a blob. */
export const TOOL_OUTPUT_CHARS = 30_000
