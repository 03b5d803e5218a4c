/**
 * The events of a stream, chunk by chunk: what arrived at once is read at once. The SDKs read the same bytes through three generators and
 * copies, an await an event: about as much again as parsing the JSON. What they do beyond the standard is kept: `[DONE]` ends the stream,
 * and so does what is not JSON.
 */
import { createParser } from 'eventsource-parser'

/** @throws SyntaxError where an event is not JSON, but for one that is named an error; what came before it is given first. */
export async function* eventsOf({ body }: { body: AsyncIterable<Uint8Array> | null }): AsyncGenerator<unknown[]> {
  if (!body) return
  const decoder = new TextDecoder()
  let events: unknown[] = []
  let over = false
  let broken: SyntaxError | null = null
  const parser = createParser({
    onEvent({ event: name, data }) {
      if (over) return
      over = data.startsWith('[DONE]')
      if (over) return
      try {
        events.push(JSON.parse(data))
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error
        if (name === 'error') events.push({ type: 'error', error: { message: data } })
        else [over, broken] = [true, error]
      }
    },
  })
  const arrived = (text: string): unknown[] => {
    events = []
    parser.feed(text)
    return events
  }
  for await (const chunk of body) {
    const read = arrived(decoder.decode(chunk, { stream: true }))
    if (read.length > 0) yield read
    if (broken) throw broken as SyntaxError
  }
  const read = arrived(decoder.decode())
  if (read.length > 0) yield read
  if (broken) throw broken as SyntaxError
}
