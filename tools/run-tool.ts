/**
 * Runs a tool under its timeout and the caller's signal, and always gives back a result.
 *
 * A tool that ends because its signal was aborted answers `cancelled` with what there is, and need not know why: here it becomes an error with
 * code `timeout`, or stays `cancelled`. What became known counts: a tool that was told to stop and ended with a result all the same keeps it.
 * One that does not stop is left behind after a while, and the result says that it may still take effect.
 */
import type { ContentBlock } from '../contract/blocks'
import type { ToolSpec } from '../contract/definition'
import type { Tool, ToolContext, ToolResult } from '../contract/ports'
import { describeThrown } from './failure'
import { fitBlocks } from './output'

/** How long a tool that was told to stop may take to end; run_command kills its children after 2 s. */
const STOP_MS = 5_000
/** What is kept of the streamed output of a tool that gives nothing back. */
const PARTIAL_CHARS = 1_000_000

type Spec = Pick<ToolSpec, 'timeoutMs'>

export async function runTool(
  tool: Tool,
  spec: Spec,
  args: string,
  context: ToolContext,
  stopMs = STOP_MS,
): Promise<ToolResult> {
  if (context.signal.aborted)
    return { outcome: 'cancelled', blocks: [{ type: 'text', text: '[Cancelled before it began.]' }] }
  const stop = new AbortController()
  const cancel = (): void => stop.abort()
  context.signal.addEventListener('abort', cancel, { once: true })
  let late = false
  const timer = setTimeout(() => {
    late = true
    stop.abort()
  }, spec.timeoutMs)
  let streamed = ''
  let settled = false
  const onOutput = (chunk: string): void => {
    if (settled) return
    if (streamed.length < PARTIAL_CHARS) streamed += chunk.slice(0, PARTIAL_CHARS - streamed.length)
    context.onOutput(chunk)
  }
  try {
    const result = await orLeftBehind(
      stop.signal,
      stopMs,
      tool.run(args, { ...context, signal: stop.signal, onOutput }),
    )
    if (result === 'left_behind')
      return await stopped(
        late,
        spec,
        [],
        streamed,
        context,
        ' It did not stop when told to: it may still take effect.',
      )
    if (result.outcome === 'cancelled' && stop.signal.aborted)
      return await stopped(late, spec, result.blocks, streamed, context, '')
    return result
  } catch (error) {
    if (stop.signal.aborted) return await stopped(late, spec, [], streamed, context, '')
    const { code, text } = describeThrown(error)
    return {
      outcome: 'error',
      code,
      blocks: await fitBlocks([{ type: 'text', text }], (bytes, type) => context.writeBlob(bytes, type)),
    }
  } finally {
    settled = true
    clearTimeout(timer)
    context.signal.removeEventListener('abort', cancel)
  }
}

async function orLeftBehind(
  signal: AbortSignal,
  stopMs: number,
  running: Promise<ToolResult>,
): Promise<ToolResult | 'left_behind'> {
  let timer: NodeJS.Timeout | undefined
  let onAbort = (): void => undefined
  const leftBehind = new Promise<'left_behind'>((resolve) => {
    onAbort = () => {
      timer = setTimeout(() => resolve('left_behind'), stopMs)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
  // One that was left behind may throw later: its result was given already.
  running.catch(() => undefined)
  try {
    return await Promise.race([running, leftBehind])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** What there is of a tool that was stopped (its own blocks, else what it streamed), and why it was. */
async function stopped(
  late: boolean,
  spec: Spec,
  own: ContentBlock[],
  streamed: string,
  context: ToolContext,
  note: string,
): Promise<ToolResult> {
  const partial: ContentBlock[] = own.length > 0 || streamed === '' ? own : [{ type: 'text', text: streamed }]
  const why: ContentBlock = {
    type: 'text',
    text: late ? `[Stopped: it took longer than ${spec.timeoutMs / 1000} s.${note}]` : `[Cancelled.${note}]`,
  }
  const blocks = [...(await fitBlocks(partial, (bytes, type) => context.writeBlob(bytes, type))), why]
  return late ? { outcome: 'error', code: 'timeout', blocks } : { outcome: 'cancelled', blocks }
}
