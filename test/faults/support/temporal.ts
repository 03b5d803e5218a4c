/** A Temporal client for what the product's own client does not do: looking at runs and their histories, ending them. */
import { Client, Connection } from '@temporalio/client'
import type { World } from '../../support/world'

export async function withTemporal<T>(
  world: Pick<World, 'temporalAddress'>,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const connection = await Connection.connect({ address: world.temporalAddress })
  try {
    return await use(new Client({ connection }))
  } finally {
    await connection.close()
  }
}

/** The run that is open now, or was last. */
export async function runOf(
  world: Pick<World, 'temporalAddress'>,
  session: string,
): Promise<{ run: string; status: string }> {
  return withTemporal(world, async (client) => {
    const { runId, status } = await client.workflow.getHandle(session).describe()
    return { run: runId, status: status.name }
  })
}
