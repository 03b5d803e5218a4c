/**
 * The events of a stream, chunk by chunk: what arrived at once is read at once. The SDKs read the same bytes through three generators and
 * copies, an await an event: about as much again as parsing the JSON. What they do beyond that is kept: comments, names and `[DONE]` are
 * passed over, an event without its blank line is none, and what is not JSON ends the stream.
 */
const SPACE = 32

/** @throws SyntaxError where an event is not JSON, but for one that is named an error; what came before it is given first. */
export async function* eventsOf({ body }: { body: AsyncIterable<Uint8Array> | null }): AsyncGenerator<unknown[]> {
  if (!body) return
  const decoder = new TextDecoder()
  const reader = createEventReader()
  for await (const chunk of body) {
    const events = reader.take(decoder.decode(chunk, { stream: true }))
    if (events.length > 0) yield events
    if (reader.broken()) throw reader.broken() as SyntaxError
  }
  const events = reader.take(decoder.decode())
  if (events.length > 0) yield events
  if (reader.broken()) throw reader.broken() as SyntaxError
}

export interface EventReader {
  /** The events that end in it: a text may be cut anywhere. */
  take(text: string): unknown[]
  /** What was no JSON; nothing is read behind it. */
  broken(): SyntaxError | null
}

export function createEventReader(): EventReader {
  /** Of a line that has not ended: joined once, however many chunks it comes in. */
  let pieces: string[] = []
  let data: string | null = null
  let name = ''
  let over = false
  /** A carriage return at the end of a text: half of a line's end, or all of it. */
  let held = ''
  let broken: SyntaxError | null = null

  const dispatch = (event: string, events: unknown[]): void => {
    if (event.startsWith('[DONE]')) {
      over = true
      return
    }
    try {
      events.push(JSON.parse(event))
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      if (name === 'error') events.push({ type: 'error', error: { message: event } })
      else {
        broken = error
        over = true
      }
    }
  }
  const line = (text: string, events: unknown[]): void => {
    if (text === '') {
      if (data !== null && !over) dispatch(data, events)
      data = null
      name = ''
    } else if (text.startsWith('data:')) {
      const value = text.slice(text.charCodeAt(5) === SPACE ? 6 : 5)
      data = data === null ? value : `${data}\n${value}`
    } else if (text.startsWith('event:')) name = text.slice(6).trim()
  }

  const take = (arrived: string): unknown[] => {
    const events: unknown[] = []
    let text = arrived
    if (held !== '' || text.includes('\r')) {
      text = held + text
      held = text.endsWith('\r') ? '\r' : ''
      text = text.slice(0, text.length - held.length).replace(/\r\n?/g, '\n')
    }
    let from = 0
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', from)) {
      const end = text.slice(from, at)
      from = at + 1
      if (pieces.length === 0) line(end, events)
      else {
        line([...pieces, end].join(''), events)
        pieces = []
      }
    }
    if (from < text.length) pieces.push(text.slice(from))
    return events
  }
  return { take, broken: () => broken }
}
