/** Sends an answer over a socket at its pace, with the fault that it meets, as the vendor's own failure would look to a client. */
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Frame } from './frame'
import type { Fault } from './script'

export interface Part {
  status: number
  headers: Record<string, string>
  /** A stream, or one body as a single frame. */
  frames: Frame[]
  pace: { firstByteMs: number; deltaMs: number }
  /** What an error in mid-stream looks like on this wire, in the place of the frame with this number. */
  errorFrame(fault: Extract<Fault, { kind: 'error_event' | 'failed' }>, at: number): string
}

/** Ends early where the client is gone. Gives back whether all of the answer was handed to the socket. */
export async function play(res: ServerResponse, part: Part, fault: Fault | null): Promise<boolean> {
  const gone = new AbortController()
  res.once('close', () => gone.abort())
  try {
    return await send(res, part, fault, gone.signal)
  } catch (error) {
    if (gone.signal.aborted) return false
    throw error
  }
}

async function send(res: ServerResponse, part: Part, fault: Fault | null, gone: AbortSignal): Promise<boolean> {
  const pace = fault?.kind === 'slow' ? fault : part.pace
  if (fault?.kind === 'hang' && fault.afterDeltas === undefined) return silence(gone)
  if (pace.firstByteMs > 0) await sleep(pace.firstByteMs, undefined, { signal: gone })
  res.writeHead(part.status, part.headers)
  const stops =
    fault && 'afterDeltas' in fault && fault.afterDeltas !== undefined
      ? stopIndex(part.frames, fault.afterDeltas)
      : part.frames.length
  let pending = ''
  for (const frame of part.frames.slice(0, stops)) {
    pending += frame.wire
    if (!frame.delta || pace.deltaMs === 0) continue
    res.write(pending)
    pending = ''
    await sleep(pace.deltaMs, undefined, { signal: gone })
  }
  if (stops === part.frames.length) {
    res.end(pending)
    return true
  }
  if (fault?.kind === 'clean_end') res.end(pending)
  else if (fault?.kind === 'error_event' || fault?.kind === 'failed') res.end(pending + part.errorFrame(fault, stops))
  else {
    await new Promise<void>((written) =>
      pending === '' ? (res.flushHeaders(), written()) : res.write(pending, () => written()),
    )
    if (fault?.kind === 'hang') return silence(gone)
    res.destroy()
  }
  return false
}

/** The frame in whose place the fault comes: after so many deltas, and at the latest right after the last one. */
function stopIndex(frames: readonly Frame[], afterDeltas: number): number {
  const at = frames.flatMap((frame, i) => (frame.delta ? [i] : []))
  return at[afterDeltas] ?? (at.at(-1) ?? 0) + 1
}

/** Until the client, or this server, closes the connection. */
function silence(gone: AbortSignal): Promise<false> {
  return new Promise((resolve) =>
    gone.aborted ? resolve(false) : gone.addEventListener('abort', () => resolve(false), { once: true }),
  )
}
