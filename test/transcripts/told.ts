/** What sessions say, apart from ids, times and vendors: for comparing what went out with what came back. */
import type { Definition } from '../../contract/definition'
import { parseDefinition } from '../../contract/definition'
import type { KnownEvent } from '../../contract/events'
import type { View } from '../../contract/provider-port'
import { buildView } from '../../providers/view'

const DEFINITION: Definition = parseDefinition({ model: { provider: 'anthropic', name: 'm' } })

/** Roles, blocks, calls and results of a view, calls named by their order of appearance. */
export function entriesTold(view: View): unknown[] {
  const names = new Map<string, string>()
  const named = (call: string): string => names.get(call) ?? (names.set(call, `call ${names.size}`).get(call) as string)
  return view.entries.map((entry) => {
    if (entry.role === 'results')
      return {
        role: 'results',
        results: entry.results.map(({ call, name, outcome, blocks }) => ({ call: named(call), name, outcome, blocks })),
      }
    const blocks = entry.blocks.map((block) =>
      block.type === 'tool_call' ? { ...block, call: named(block.call) } : block,
    )
    return { role: entry.role, blocks }
  })
}

/** In view order and from the first event on: roles, blocks, calls and results, failures, and where summaries stand. */
export function told(events: readonly KnownEvent[]): unknown {
  const seen = new Set(events.flatMap((e) => (e.type === 'model_answered' ? e.payload.manifest.saw : [])))
  const rest = events.flatMap(({ seq, type }) =>
    !seen.has(seq) && (type === 'message_received' || type === 'interrupted' || type === 'tool_finished') ? [seq] : [],
  )
  const spoken = events.filter((e) => e.type !== 'message_received' || e.payload.blocks.length > 0 || seen.has(e.seq))
  const view = buildView(spoken, DEFINITION, rest, { raw: true })
  const entries = entriesTold(view)
  const failures = events.flatMap((e) =>
    e.type === 'model_failed' ? [{ class: e.payload.class, message: e.payload.message }] : [],
  )
  const summaries = events.flatMap((e) => (e.type === 'checkpoint_made' ? [e.payload.blocks] : []))
  // What a model would be sent: begins at the last summary, with what that leaves beside it.
  const short = buildView(spoken, DEFINITION, rest).entries.length
  return { entries, failures, summaries, short }
}
