/**
 * Signed reasoning: what this server gives out so that it can tell, when it comes back, whether it is its own, unaltered, for the same model
 * and under the same earlier messages. Anthropic's `signature` and `redacted_thinking.data`, OpenAI's `encrypted_content`.
 *
 * Sources: platform.claude.com/docs "Preserved thinking" and "Prefix checks on thinking blocks" (`system`, `tools` and every earlier message
 * are bound; a thinking block between others that was left out fails too), BetaThinkingDroppedInputTransformation in @anthropic-ai/sdk;
 * openai/codex issues 8119 to 8145 (`invalid_encrypted_content`).
 */
import { createHash, createHmac } from 'node:crypto'
import { isRecord, list, records, str, type Json } from './json'

/** `prefix`: as issued, for this model, under these earlier messages; `model`: not the last; `none`: as issued. */
export type Binding = 'prefix' | 'model' | 'none'

/** Where in a conversation reasoning stands: what it is bound to. `before` names the reasoning that came last before it. */
export interface Place {
  model: string
  prefix: string
  before: string
}

export const NOWHERE: Place = { model: '', prefix: '', before: '' }

const MARK = 'scripted-'
/** No secret: it is to show what was changed by mistake, and to be the same after a restart. */
const KEY = 'a scripted model signs what it gives out'

export function seal(place: Place, text: string): string {
  const bound = [digest(place.model), place.prefix || '0', place.before || '0'].join('.')
  return `${MARK}${bound}.${mac(bound, text)}`
}

/** Names reasoning by its seal, for `Place.before`. */
function nameOf(token: string): string {
  return token.slice(token.lastIndexOf('.') + 1).slice(0, 16)
}

export type Verdict = 'ok' | 'foreign' | 'altered' | 'other model' | 'other prefix'

/** What is wrong with reasoning that came back at this place; `foreign` was not issued by this server. */
export function judge(token: string, text: string, now: Place, binding: Binding): Verdict {
  if (!token.startsWith(MARK)) return 'foreign'
  const [model = '', prefix, before, signed] = token.slice(MARK.length).split('.')
  if (signed !== mac([model, prefix, before].join('.'), text)) return 'altered'
  if (binding === 'none') return 'ok'
  if (model !== digest(now.model)) return 'other model'
  if (binding === 'model') return 'ok'
  // Reasoning left out at the beginning is no gap; between two that are there, it is.
  const gap = now.before !== '' && now.before !== before
  return prefix === (now.prefix || '0') && !gap ? 'ok' : 'other prefix'
}

/** Reasoning in a request, each with its place; and the place of the answer that is to come. */
export interface Walk {
  found: { at: string; token: string; text: string; item: Json; place: Place }[]
  end: Place
}

/** Messages of one role in a row are one turn to the vendor, so what counts is the order of blocks and whose they are. */
export function walkAnthropic(body: Json): Walk {
  const walk = begin(body.model, [body.system ?? null, body.tools ?? null])
  for (const [i, message] of records(body.messages).entries()) {
    const content = typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content
    for (const [j, block] of list(content).entries()) {
      const token = !isRecord(block)
        ? undefined
        : block.type === 'thinking'
          ? block.signature
          : block.type === 'redacted_thinking'
            ? block.data
            : undefined
      if (isRecord(block) && typeof token === 'string')
        pass(walk, `messages.${i}.content.${j}`, token, str(block.thinking), block)
      else step(walk, [message.role, block])
    }
  }
  return walk
}

/** Ids, states and annotations are the server's own: they are not bound, as a client may leave them out. */
export function walkResponses(body: Json): Walk {
  const walk = begin(body.model, [body.instructions ?? null, body.tools ?? null])
  const items = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : list(body.input)
  for (const [i, item] of items.entries()) {
    if (!isRecord(item)) continue
    if (item.type === 'reasoning') {
      if (typeof item.encrypted_content === 'string') pass(walk, `input[${i}]`, item.encrypted_content, '', item)
      continue
    }
    const { id: _id, status: _status, phase: _phase, type = 'message', ...rest } = item
    const content = typeof rest.content === 'string' ? [{ text: rest.content }] : rest.content
    step(walk, [
      type,
      {
        ...rest,
        content: records(content).map(({ annotations: _a, logprobs: _l, type: _t, ...part }) => part),
      },
    ])
  }
  return walk
}

function begin(model: unknown, head: unknown): Walk {
  return { found: [], end: { model: str(model), prefix: digest(canonical(head)), before: '' } }
}

function step(walk: Walk, entry: unknown): void {
  walk.end = { ...walk.end, prefix: digest(walk.end.prefix + canonical(entry)) }
}

function pass(walk: Walk, at: string, token: string, text: string, item: Json): void {
  walk.found.push({ at, token, text, item, place: walk.end })
  walk.end = { ...walk.end, before: nameOf(token) }
}

/** One text for one meaning: keys in order, cache marks left out. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (key === 'cache_control') return undefined
    return isRecord(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner
  })
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

function mac(bound: string, text: string): string {
  return createHmac('sha256', KEY)
    .update(JSON.stringify([bound, text]))
    .digest('base64url')
}
