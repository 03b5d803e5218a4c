/** Every text that a transcript holds of its conversation, read as simply as can be; and every text that sessions hold. */
import { parseEvent } from '../../contract/events'
import { eventsOf, type Desk } from './support'

type Json = Record<string, unknown>
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {})

/** By the names that the three formats give to what was said: no other reader is used. */
export function textsIn(files: readonly string[]): string[] {
  const texts: string[] = []
  const take = (content: unknown): void => {
    if (typeof content === 'string') texts.push(content)
    else if (Array.isArray(content))
      for (const part of content) {
        const { text, thinking, content: inner, output } = record(part)
        for (const one of [text, thinking]) if (typeof one === 'string') texts.push(one)
        take(inner ?? output)
      }
  }
  for (const file of files)
    for (const line of file.split('\n')) {
      let value: Json
      try {
        value = record(JSON.parse(line))
      } catch {
        continue
      }
      const { message, payload, summary, type } = value
      if (type === 'compaction') take(summary)
      if (message !== undefined && record(message).role !== 'bashExecution') take(record(message).content)
      const item = record(payload)
      if (type === 'response_item' && item.type === 'message') take(item.content)
      if (type === 'response_item' && String(item.type).endsWith('_output')) take(item.output)
    }
  return texts.filter((text) => text !== '')
}

export async function textsOf(desk: Desk, sessions: readonly string[]): Promise<string[]> {
  const texts: string[] = []
  for (const session of sessions) {
    const system = (await desk.client.definition((await desk.client.info(session)).definition)).system
    texts.push(...system.split('\n\n<'), ...system.split(/\n\n(?=<)/))
    for (const stored of await eventsOf(desk, session)) {
      const event = parseEvent(stored)
      if (event?.type === 'model_failed') texts.push(event.payload.message)
      if (event?.type === 'interrupted') texts.push('[Request interrupted by user for tool use]')
      const blocks =
        event && 'blocks' in event.payload
          ? event.payload.blocks
          : event?.type === 'interrupted'
            ? event.payload.partial.flatMap((p) => p.blocks)
            : []
      for (const block of blocks) {
        if (block.type === 'text' && block.blob)
          texts.push(Buffer.from(await desk.client.blob(session, block.blob.hash)).toString('utf8'))
        else if (block.type === 'text' || block.type === 'reasoning') texts.push(block.text)
      }
    }
  }
  return texts
}
