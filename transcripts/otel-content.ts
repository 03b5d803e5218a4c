/**
 * What was said, for spans that are to have it. Each request's messages are those that it named for the first time (its manifest's `saw`):
 * with the whole history in each, an export would grow with the square of the log. Without content nothing is read and nothing kept.
 */
import type { Definition } from '../contract/definition'
import type { KnownEvent, Payload } from '../contract/events'
import type { ExportSource } from './exporting'
import { list, messageOf, noteMessage, resultMessage, textOfBlocks } from './otel-messages'
import type { Named } from './otel-span'

type Of<T extends KnownEvent['type']> = Extract<KnownEvent, { type: T }>

export interface Content {
  /** Of a turn: its message, and the system prompt. */
  opened(opener: KnownEvent | null, definition: Definition | null): Promise<Named>
  message(event: Of<'message_received'>): Promise<void>
  finished(event: Of<'tool_finished'>): Promise<void>
  interrupted(event: Of<'interrupted'>): void
  checkpoint(event: Of<'checkpoint_made'>): Promise<void>
  edited(call: string, args: string | undefined): void
  /** Of an answer's span. `compacted`: a request named a checkpoint, as every later one then stands behind it. */
  asked(answer: Payload<'model_answered'>): Promise<{ named: Named; compacted: boolean }>
  /** Of the turn, by its last answer. */
  answered(named: Named): Named
  /** Of a tool's span. */
  result(payload: Payload<'tool_finished'>): Promise<Named>
}

export function createContent(source: ExportSource, on: boolean): Content {
  /** Messages that no request named yet, by seq; and the checkpoints among them. */
  const unseen = new Map<number, string>()
  const checkpoints = new Set<number>()
  const args = new Map<string, string>()
  return {
    async opened(opener, definition) {
      if (!on) return {}
      const system = definition?.system ?? ''
      const said =
        opener?.type === 'message_received' ? list([await messageOf('user', opener.payload.blocks, source)]) : undefined
      return {
        'gen_ai.system_instructions':
          system.trim() === '' ? undefined : JSON.stringify([{ type: 'text', content: system }]),
        'gen_ai.input.messages': said,
      }
    },
    async message({ seq, payload }) {
      if (on && payload.blocks.length > 0) unseen.set(seq, await messageOf('user', payload.blocks, source))
    },
    async finished({ seq, payload }) {
      if (on) unseen.set(seq, await resultMessage(payload.call, payload.blocks, source))
    },
    interrupted({ seq }) {
      if (on) unseen.set(seq, noteMessage('text', '[interrupted]'))
    },
    async checkpoint({ seq, payload }) {
      checkpoints.add(seq)
      if (on) unseen.set(seq, noteMessage('compaction', await textOfBlocks(payload.blocks, source)))
    },
    edited(call, edit) {
      if (on && edit !== undefined) args.set(call, edit)
    },
    async asked({ blocks, manifest }) {
      const compacted = manifest.saw.some((seq) => checkpoints.delete(seq))
      if (!on) return { named: {}, compacted }
      const input = manifest.saw.flatMap((seq) => unseen.get(seq) ?? [])
      for (const seq of manifest.saw) unseen.delete(seq)
      for (const block of blocks) if (block.type === 'tool_call') args.set(block.call, block.args)
      return {
        named: {
          'gen_ai.input.messages': list(input),
          'gen_ai.output.messages': list([await messageOf('assistant', blocks, source)]),
        },
        compacted,
      }
    },
    answered: (named) => (on ? { 'gen_ai.output.messages': named['gen_ai.output.messages'] } : {}),
    async result({ call, blocks }) {
      if (!on) return {}
      const asked = args.get(call)
      args.delete(call)
      return {
        'gen_ai.tool.call.arguments': asked,
        'gen_ai.tool.call.result': await textOfBlocks(blocks, source),
      }
    },
  }
}
