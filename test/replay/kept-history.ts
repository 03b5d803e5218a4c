/**
 * The form of a kept history: what the server gave, as JSON, with 64-bit numbers as numbers and bytes as `{"$bytes": "<base64>"}`. The
 * SDK's own JSON form needs one protobufjs for all its packages, which npm does not promise.
 */
export interface KeptHistory {
  workflowId: string
  history: { events: KeptEvent[] }
}

export interface KeptEvent {
  eventType: number
  activityTaskScheduledEventAttributes?: { activityType: { name: string } }
}

const isLong = (value: object): value is { toNumber(): number } =>
  'low' in value && 'high' in value && 'toNumber' in value

/** Who recorded it is nobody's business: `identity` becomes a word. */
export function toKept(value: unknown, name = ''): unknown {
  if (name === 'identity') return 'recorder'
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map((item) => toKept(item))
  if (typeof value !== 'object' || value === null) return value
  if (isLong(value)) return value.toNumber()
  const fields = Object.entries(value).filter(([, item]) => item !== null && item !== undefined)
  return Object.fromEntries(fields.map(([key, item]) => [key, toKept(item, key)]))
}

export function fromKept(text: string): KeptHistory {
  return JSON.parse(text, (_key, value: unknown) => {
    const bytes = (value as { $bytes?: string } | null)?.$bytes
    return bytes === undefined ? value : Buffer.from(bytes, 'base64')
  }) as KeptHistory
}
