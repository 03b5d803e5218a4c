import { z } from 'zod'
import { defineTool } from '../../tools/tool'

export const kettle = defineTool({
  name: 'kettle',
  description: 'Boils water.',
  input: z.object({ litres: z.int() }),
  readOnly: false,
  idempotent: true,
  approval: 'allow',
  timeoutMs: 10_000,
  local: false,
  run: ({ litres }) => Promise.resolve(`${litres} l boil in process ${process.pid}`),
})
