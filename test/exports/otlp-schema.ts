/**
 * The shape of OTLP's TracesData in JSON, strictly: opentelemetry-proto's trace.proto, common.proto and resource.proto by the OTLP rules for
 * JSON (ids in hex, 64-bit numbers as decimal strings, enums as numbers, field names in lowerCamelCase, no field that is not there).
 */
import { z } from 'zod'

const hex = (digits: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-fA-F]{${digits}}$`))
    .refine((id) => /[^0]/.test(id), 'all zeroes')
const Int64 = z.string().regex(/^-?\d{1,19}$/)
const Fixed64 = z.string().regex(/^\d{1,20}$/)
const Uint32 = z.int().min(0).max(0xffffffff)

const AnyValue: z.ZodType = z.lazy(() =>
  z.union([
    z.strictObject({ stringValue: z.string() }),
    z.strictObject({ boolValue: z.boolean() }),
    z.strictObject({ intValue: Int64 }),
    z.strictObject({ doubleValue: z.number() }),
    z.strictObject({ arrayValue: z.strictObject({ values: z.array(AnyValue) }) }),
    z.strictObject({ kvlistValue: z.strictObject({ values: KeyValues }) }),
    z.strictObject({ bytesValue: z.base64() }),
  ]),
)
const KeyValues: z.ZodType = z.lazy(() =>
  z
    .array(z.strictObject({ key: z.string().min(1), value: AnyValue }))
    .refine((all) => new Set(all.map(({ key }) => key)).size === all.length, 'keys must be unique'),
)

const Event = z.strictObject({
  timeUnixNano: Fixed64,
  name: z.string().min(1),
  attributes: KeyValues.optional(),
  droppedAttributesCount: Uint32.optional(),
})
const Link = z.strictObject({
  traceId: hex(32),
  spanId: hex(16),
  traceState: z.string().optional(),
  attributes: KeyValues.optional(),
  droppedAttributesCount: Uint32.optional(),
  flags: Uint32.optional(),
})
const Span = z
  .strictObject({
    traceId: hex(32),
    spanId: hex(16),
    traceState: z.string().optional(),
    parentSpanId: hex(16).optional(),
    flags: Uint32.optional(),
    name: z.string().min(1),
    kind: z.int().min(1).max(5),
    startTimeUnixNano: Fixed64,
    endTimeUnixNano: Fixed64,
    attributes: KeyValues.optional(),
    droppedAttributesCount: Uint32.optional(),
    events: z.array(Event).optional(),
    droppedEventsCount: Uint32.optional(),
    links: z.array(Link).optional(),
    droppedLinksCount: Uint32.optional(),
    status: z.strictObject({ message: z.string().optional(), code: z.int().min(0).max(2).optional() }).optional(),
  })
  .refine((s) => BigInt(s.endTimeUnixNano) >= BigInt(s.startTimeUnixNano), 'it ends before it starts')
const Scope = z.strictObject({
  name: z.string().optional(),
  version: z.string().optional(),
  attributes: KeyValues.optional(),
  droppedAttributesCount: Uint32.optional(),
})

export const TracesData = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z
        .strictObject({ attributes: KeyValues.optional(), droppedAttributesCount: Uint32.optional() })
        .optional(),
      scopeSpans: z.array(
        z.strictObject({ scope: Scope.optional(), spans: z.array(Span), schemaUrl: z.string().optional() }),
      ),
      schemaUrl: z.string().optional(),
    }),
  ),
})
