import { z } from 'zod'
import { defineTool } from '../../index'

export const orderTea = defineTool({
  name: 'order_tea',
  description: 'Orders tea for the meeting. Gives back the number of the order.',
  input: z.object({
    kind: z.enum(['green', 'black']),
    cups: z.int().min(1).max(20).describe('One for each guest'),
  }),
  output: z.object({ order: z.int() }),
  readOnly: false,
  idempotent: true,
  approval: 'ask',
  timeoutMs: 10_000,
  local: false,
  async run({ kind, cups }, { idempotencyKey, signal, onOutput }) {
    onOutput(`ordering ${cups} cups\n`)
    const answer = await fetch(`${process.env.KITCHEN_URL}/orders`, {
      method: 'POST',
      // The kitchen drops a second order under the same key: that is what makes the tool idempotent.
      headers: { 'idempotency-key': idempotencyKey, 'content-type': 'application/json' },
      body: JSON.stringify({ kind, cups }),
      signal,
    })
    if (!answer.ok) throw new Error(`the kitchen said ${answer.status}`)
    return (await answer.json()) as { order: number }
  },
})
