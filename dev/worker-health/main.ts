/** Exits 0 when the worker named SAVEFILE_WORKER_NAME polls its task queue at Temporal. For docker-compose.yml. */
import { Connection } from '@temporalio/client'
import { loadClientConnectConfig } from '@temporalio/envconfig'
import { DEFAULT_TASK_QUEUE } from '../../contract/activities'

const WORKFLOW_TASKS = 1

async function main(): Promise<void> {
  const { connectionOptions, namespace } = loadClientConnectConfig()
  const connection = await Connection.connect({ ...connectionOptions, connectTimeout: 5_000 })
  try {
    const { pollers } = await connection.workflowService.describeTaskQueue({
      namespace: namespace ?? 'default',
      taskQueue: { name: process.env['SAVEFILE_TASK_QUEUE'] ?? DEFAULT_TASK_QUEUE },
      taskQueueType: WORKFLOW_TASKS,
    })
    const name = process.env['SAVEFILE_WORKER_NAME']
    if (!pollers?.some(({ identity }) => identity === name)) throw new Error(`no worker named ${name} polls`)
  } finally {
    await connection.close()
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
