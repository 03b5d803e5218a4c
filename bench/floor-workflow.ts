/** The floor: the same loop over bare Temporal with exactly one empty regular activity for the model and one for the tool, and no log. */
import { proxyActivities } from '@temporalio/workflow'

interface FloorActivities {
  model(id: string): Promise<void>
  tool(id: string): Promise<void>
}

const { model, tool } = proxyActivities<FloorActivities>({ startToCloseTimeout: '1 minute' })

export async function floor(id: string, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) {
    await model(id)
    await tool(id)
  }
  await model(id)
}
