/**
 * What was said and called, as the GenAI conventions' messages, in JSON text. Tool arguments are put in as they are spelt. Attachments are
 * named by their hash: a trace is no place for their bytes.
 */
import type { Block, ContentBlock } from '../contract/blocks'
import type { ExportSource } from './exporting'

type Role = 'user' | 'assistant' | 'tool' | 'system'

export async function messageOf(
  role: Role,
  blocks: readonly (Block | ContentBlock)[],
  source: ExportSource,
): Promise<string> {
  const parts: string[] = []
  for (const block of blocks) parts.push(await part(block, source))
  return message(role, parts)
}

export async function resultMessage(
  call: string,
  blocks: readonly ContentBlock[],
  source: ExportSource,
): Promise<string> {
  const response = await textOfBlocks(blocks, source)
  return message('tool', [JSON.stringify({ type: 'tool_call_response', id: call, response })])
}

export function noteMessage(type: 'text' | 'compaction', content: string): string {
  return message('user', [JSON.stringify({ type, content })])
}

export function list(messages: readonly string[]): string {
  return `[${messages.join(',')}]`
}

/** All of the text of a result, one block after the other. */
export async function textOfBlocks(blocks: readonly ContentBlock[], source: ExportSource): Promise<string> {
  const texts: string[] = []
  for (const block of blocks)
    texts.push(
      block.type === 'text'
        ? await text(block, source)
        : block.type === 'structured'
          ? block.json
          : `[${block.type} ${block.blob.hash}]`,
    )
  return texts.join('\n')
}

function message(role: Role, parts: readonly string[]): string {
  return `{"role":"${role}","parts":[${parts.join(',')}]}`
}

async function part(block: Block | ContentBlock, source: ExportSource): Promise<string> {
  switch (block.type) {
    case 'text':
      return JSON.stringify({ type: 'text', content: await text(block, source) })
    case 'refusal':
      return JSON.stringify({ type: 'text', content: block.text })
    case 'reasoning':
      return JSON.stringify({ type: 'reasoning', content: block.text })
    case 'structured':
      return JSON.stringify({ type: 'text', content: block.json })
    case 'tool_call': {
      const head = JSON.stringify({ type: 'tool_call', id: block.call, name: block.name })
      return `${head.slice(0, -1)},"arguments":${isJson(block.args) ? block.args : JSON.stringify(block.args)}}`
    }
    case 'image':
    case 'file': {
      const { hash, mediaType } = block.blob
      const modality = block.type === 'image' ? 'image' : 'document'
      return JSON.stringify({ type: 'file', modality, mime_type: mediaType, file_id: hash })
    }
  }
}

async function text(block: Extract<ContentBlock, { type: 'text' }>, source: ExportSource): Promise<string> {
  if (!block.blob) return block.text
  const bytes = await source.blob(block.blob.hash)
  return bytes ? new TextDecoder().decode(bytes) : `[text ${block.blob.hash}, not to be read here]`
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}
