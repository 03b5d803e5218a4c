/**
 * The floor's worker process, under the SDK settings of workers/run-worker.ts. Forked: tells `{ ready }`, and on `report` the milliseconds
 * at which each workflow's tool ran.
 */
import { NativeConnection, Runtime, Worker } from '@temporalio/worker'

async function main(): Promise<void> {
  Runtime.install({ telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: 'WARN' } } } })
  const [address = '', taskQueue = ''] = process.argv.slice(2)
  const ran = new Map<string, number[]>()
  const connection = await NativeConnection.connect({ address })
  const worker = await Worker.create({
    connection,
    taskQueue,
    workflowsPath: require.resolve('./floor-workflow'),
    activities: {
      async model() {},
      async tool(id: string) {
        const at = performance.timeOrigin + performance.now()
        const list = ran.get(id)
        if (list) list.push(at)
        else ran.set(id, [at])
      },
    },
    maxConcurrentActivityTaskExecutions: 1000,
    maxConcurrentLocalActivityExecutions: 200,
    maxCachedWorkflows: 2000,
  })
  process.on('message', (what) => {
    if (what !== 'report') return
    process.send?.({ ran: [...ran.values()] })
    ran.clear()
  })
  const running = worker.run()
  process.send?.({ ready: true })
  await running
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
