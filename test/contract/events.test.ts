import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { errorCode } from '../../contract/errors'
import { EVENT_TYPES, isKnown, parseEvent, PAYLOADS, VERSIONS, type EventType } from '../../contract/events'

const FOLDER = join(__dirname, 'golden')
interface Golden {
  cases: { stored: string; parsed: unknown }[]
  schema: unknown
}
const golden = (type: EventType, v: number): Golden =>
  JSON.parse(readFileSync(join(FOLDER, `${type}.v${v}.json`), 'utf8')) as Golden
const stored = (type: string, v: number, payload: string) => ({ seq: 7, at: 1, actor: 'agent', type, v, payload })
const versions = EVENT_TYPES.flatMap((type) =>
  Array.from({ length: VERSIONS[type] }, (_, i): [EventType, number] => [type, i + 1]),
)

describe('golden files', () => {
  it('are there for every type and version, and for nothing else', () => {
    expect(readdirSync(FOLDER).sort()).toEqual(versions.map(([type, v]) => `${type}.v${v}.json`).sort())
  })
  it.each(versions)('%s v%i reads as it always did', (type, v) => {
    const { cases } = golden(type, v)
    for (const { stored: payload, parsed } of cases)
      expect(parseEvent(stored(type, v, payload))).toEqual({ seq: 7, at: 1, actor: 'agent', type, payload: parsed })
  })
  it.each(versions.filter(([type, v]) => VERSIONS[type] === v))('%s v%i has the schema it always had', (type, v) => {
    // A change of a schema is a new version with an upcaster and a golden file of its own, never an edit of this one.
    expect(z.toJSONSchema(PAYLOADS[type], { io: 'input' })).toEqual(golden(type, v).schema)
  })
  it.each(versions.filter(([type, v]) => VERSIONS[type] === v))('%s v%i shows every field', (type, v) => {
    const shown = new Set(golden(type, v).cases.flatMap((c) => Object.keys(c.parsed as object)))
    expect(Object.keys(PAYLOADS[type].shape).filter((field) => !shown.has(field))).toEqual([])
  })
})

describe('schemas', () => {
  it.each(versions)('%s v%i: what was read is written and read the same', (type, v) => {
    for (const { parsed } of golden(type, v).cases) {
      const again = parseEvent(stored(type, v, JSON.stringify(parsed)))
      expect(again?.payload).toEqual(parsed)
    }
  })
  it.each(versions)('%s v%i refuses a field that it does not know, and names the event', (type, v) => {
    const payload = JSON.stringify({ ...(golden(type, v).cases[0]?.parsed as object), surprise: 1 })
    const read = () => parseEvent(stored(type, v, payload))
    expect(read).toThrow(`event 7 (${type}) does not validate`)
    try {
      read()
    } catch (error) {
      expect(errorCode(error)).toBe('corrupt_log')
    }
  })
  const answer = JSON.parse(golden('model_answered', 1).cases[0]!.stored) as Record<string, unknown>
  it.each<[string, EventType, object]>([
    ['a seq of 0', 'turn_finished', { turn: 0, reason: 'done' }],
    ['a reason that there is not', 'turn_finished', { turn: 1, reason: 'bored' }],
    ['a hash that is none', 'session_created', { definition: 'abc', origin: { kind: 'new' } }],
    [
      'a call among what people send',
      'message_received',
      { blocks: [{ type: 'tool_call', call: 'c', name: 'n', args: '' }], delivery: 'queue' },
    ],
    ['a delivery that there is not', 'message_received', { blocks: [], delivery: 'later' }],
    ['an empty call id', 'tool_started', { call: '', tool: 't', queue: null, idempotencyKey: '' }],
    ['a negative count of tokens', 'model_answered', { ...answer, usage: { input: -1, output: 0 } }],
    [
      'a manifest that names no seq',
      'model_answered',
      { ...answer, manifest: { ...(answer.manifest as object), saw: [0] } },
    ],
  ])('refuse %s', (_what, type, payload) => {
    expect(() => parseEvent(stored(type, 1, JSON.stringify(payload)))).toThrow('does not validate')
  })
  it('refuse a payload that is not JSON', () => {
    expect(() => parseEvent(stored('session_closed', 1, '{'))).toThrow('The payload of event 7 is not JSON.')
  })
  it('keep the spelling of what is JSON inside', () => {
    const { blocks } = golden('model_answered', 1).cases[0]!.parsed as { blocks: { args?: string }[] }
    expect(blocks.map((b) => b.args).filter(Boolean)).toContain('{"z":1e2,"a":1}')
  })
})

describe('types and versions that this code does not know', () => {
  it.each([
    ['never_heard_of', 1],
    ['message_received', 2],
    ['constructor', 1],
    ['', 1],
  ])('%s v%i is not read, and not refused', (type, v) => {
    expect(isKnown(type, v)).toBe(false)
    expect(parseEvent(stored(type, v, 'not even JSON'))).toBeNull()
  })
})
