/**
 * A session as spans in OTLP JSON: one document a line, a single line where it is short. A trace is a turn: `invoke_agent`, with
 * `chat <model>` and `execute_tool <tool>` below it; the session is the conversation. Streamed: what is held is the turn that is open.
 */
import type { Exporter } from './exporting'
import { attributes } from './otel-span'
import { createTracer } from './otel-tracer'
import { readAll } from './turns'

/** A document is as long as this, and at most a span more. */
const DOCUMENT_CHARS = 512 * 1024

export const toOtel: Exporter = async function* (source, { content = false } = {}) {
  const { session, space } = source.info
  const resource = JSON.stringify({
    attributes: attributes({ 'service.name': 'savefile', 'savefile.space': space, 'savefile.session': session }),
  })
  const document = (spans: string): string =>
    `{"resourceSpans":[{"resource":${resource},"scopeSpans":[{"scope":{"name":"savefile"},"spans":[${spans}]}]}]}\n`
  const tracer = createTracer(source, content)
  let spans = ''
  for await (const read of readAll(source.events())) {
    for (const span of await tracer.take(read)) spans += `${spans === '' ? '' : ','}${JSON.stringify(span)}`
    if (spans.length < DOCUMENT_CHARS) continue
    yield document(spans)
    spans = ''
  }
  for (const span of await tracer.end()) spans += `${spans === '' ? '' : ','}${JSON.stringify(span)}`
  // A session without a span is a document too.
  yield document(spans)
}
