/**
 * Calls of Anthropic's own tools whose result never came: a paused answer may end with one, and goes on from there. Where something else
 * follows instead (a message, an answer of another model), the call needs a result, or every later request is refused.
 */
import type { ContentBlockParam } from '@anthropic-ai/sdk/resources/messages/messages'

interface ServerCall {
  id: string
  name: string
}

/** The calls of one side that are still without a result. */
export interface OpenServerCalls {
  /** A block of the vendor's own, as JSON text. */
  saw(json: string): void
  /** A result for each of them, which says that it was not available; none is open after that. */
  close(): ContentBlockParam[]
}

export function openServerCalls(): OpenServerCalls {
  let open: ServerCall[] = []
  return {
    saw(json) {
      const { type, id, name, tool_use_id } = JSON.parse(json) as Record<string, unknown>
      if (type === 'server_tool_use' && typeof id === 'string' && typeof name === 'string') open.push({ id, name })
      open = open.filter((call) => call.id !== tool_use_id)
    },
    close() {
      const results = open.map(unavailable)
      open = []
      return results
    },
  }
}

function unavailable({ id, name }: ServerCall): ContentBlockParam {
  const type = `${name.startsWith('tool_search_') ? 'tool_search' : name}_tool_result`
  const content = { type: `${type}_error`, error_code: 'unavailable' }
  // The SDK's type has each of these as a type of its own.
  return { type, tool_use_id: id, content } as unknown as ContentBlockParam
}
