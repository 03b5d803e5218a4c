/**
 * What the encoders share: texts loaded from blobs, attachments told apart, and the words that stand in for what cannot be sent.
 */
import type { BlobRef, Block, ContentBlock } from '../contract/blocks'
import type { Manifest, Replay } from '../contract/events'
import type { ModelRequest } from '../contract/provider-port'
import { cutText, normaliseText } from '../contract/text'

/** Where an answer, a result or a message would otherwise be empty: vendors refuse that, and leaving it out would move what follows. */
export const NO_TEXT = '(no text)'
export const NO_OUTPUT = '(no output)'
/** Before a history that begins with the assistant, and after one that ends with it. */
export const GO_ON = '(The conversation goes on.)'

const IMAGES = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'] as const
type ImageType = (typeof IMAGES)[number]

/** OpenAI refuses a tool's output that is longer. */
const OUTPUT_CHARS = 10_485_760

/** A block as every vendor knows it: nothing else than these reaches an adapter's wire code. */
export type Part =
  | { kind: 'text'; text: string }
  | { kind: 'image'; mediaType: ImageType; base64: string }
  | { kind: 'pdf'; name: string; base64: string }

export type Drop = (seq: number, what: string, why: string) => void

export function collectDropped(): { dropped: Manifest['dropped']; drop: Drop } {
  const dropped: Manifest['dropped'] = []
  return { dropped, drop: (seq, what, why) => void dropped.push({ seq, what, why }) }
}

/** The parts of a message's or a result's blocks: no blank text, nothing that the vendor does not take. */
export async function partsOf(
  blocks: readonly (Block | ContentBlock)[],
  blob: ModelRequest['blob'],
  seq: number,
  drop: Drop,
): Promise<Part[]> {
  const parts = await Promise.all(blocks.map((block) => partOf(block, blob, seq, drop)))
  return parts.flat()
}

async function partOf(
  block: Block | ContentBlock,
  blob: ModelRequest['blob'],
  seq: number,
  drop: Drop,
): Promise<Part[]> {
  switch (block.type) {
    case 'text':
      return text(block.blob ? await textBlob(block.blob, blob) : block.text)
    case 'refusal':
      return text(block.text)
    case 'structured':
      return text(block.json)
    case 'image':
      return attachment(block.blob, 'image', undefined, blob, seq, drop)
    case 'file':
      return attachment(block.blob, 'file', block.name, blob, seq, drop)
    case 'reasoning':
    case 'tool_call':
      return []
  }
}

async function attachment(
  ref: BlobRef,
  what: 'image' | 'file',
  name: string | undefined,
  blob: ModelRequest['blob'],
  seq: number,
  drop: Drop,
): Promise<Part[]> {
  const mediaType = ref.mediaType.split(';')[0]?.trim().toLowerCase() ?? ''
  const image = IMAGES.find((type) => type === mediaType)
  if (image) return [{ kind: 'image', mediaType: image, base64: await base64(ref, blob) }]
  if (mediaType === 'application/pdf')
    return [{ kind: 'pdf', name: name ?? 'file.pdf', base64: await base64(ref, blob) }]
  if (/^text\/|^application\/(?:json|xml|yaml|x-yaml|javascript|sql)$|\+(?:json|xml)$/.test(mediaType))
    return text(`[file ${name ?? mediaType}]\n${await textBlob(ref, blob)}`)
  drop(seq, what, `${mediaType || 'an unknown media type'} is not sent to this provider`)
  return text(`[${what} ${name ? `${name}, ` : ''}${mediaType}, ${ref.bytes} bytes: not shown]`)
}

/** `strict`: lone surrogates cannot be in UTF-8; what else is broken becomes U+FFFD. */
async function textBlob(ref: BlobRef, blob: ModelRequest['blob']): Promise<string> {
  return normaliseText(new TextDecoder().decode(await blob(ref.hash))).text
}

async function base64(ref: BlobRef, blob: ModelRequest['blob']): Promise<string> {
  return Buffer.from(await blob(ref.hash)).toString('base64')
}

function text(raw: string): Part[] {
  return raw.trim() === '' ? [] : [{ kind: 'text', text: raw }]
}

export function textOfParts(parts: readonly Part[], between: string): string {
  return parts.flatMap((part) => (part.kind === 'text' ? [part.text] : [])).join(between)
}

/** What a provider needs to be the same for its replay to be sent back. */
export type Home = Pick<Replay, 'provider' | 'platform' | 'model' | 'format'>

export const BOUND = 'it is bound to what a checkpoint has taken the place of'

/** Why the replay of an answer cannot be sent back; null where it can. `cut`: up to which answer none is sent. */
export function foreign(
  { replay, seq, moved }: { replay?: Replay; seq: number; moved?: true },
  home: Home,
  cut = 0,
): string | null {
  if (!replay) return 'nothing to send back was kept'
  if (seq <= cut) return `the provider refused its own replay: none is sent up to event ${cut}`
  const differs = (['provider', 'platform', 'model', 'format'] as const).find((field) => replay[field] !== home[field])
  if (differs) return `made by another ${differs}: ${replay[differs]}`
  // Both vendors bind what they sign to all that stands before it; on Chat only OpenRouter's details are signed.
  return moved && home.provider !== 'openai-chat' ? BOUND : null
}

/** A tool's output, cut where OpenAI would refuse it whole. */
export function withinLimit(output: string, seq: number, drop: Drop): string {
  if (output.length <= OUTPUT_CHARS) return output
  drop(seq, 'output', `OpenAI takes no more than ${OUTPUT_CHARS} characters of it`)
  return cutText(output, OUTPUT_CHARS)
}
