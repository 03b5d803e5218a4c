/** The backend: a worker with its own activities and `awaitTurn`, and one run of the workflow. */
import { Client as TemporalClient, Connection } from '@temporalio/client'
import { NativeConnection, Worker } from '@temporalio/worker'
import { connect, createAskActivity } from '../../index'
import { createReviewActivities } from './activities'
import { review } from './workflows'

async function main(documentId = 'd1'): Promise<void> {
  const address = process.env.TEMPORAL_ADDRESS ?? 'localhost:7233'
  const taskQueue = `review-${process.pid}`
  const client = await connect()
  const documents = new Map([['d1', 'The deadline is the 31st of February.']])
  const loadDocument = (id: string): Promise<string> => Promise.resolve(documents.get(id) ?? '')

  const connection = await NativeConnection.connect({ address })
  const worker = await Worker.create({
    connection,
    taskQueue,
    workflowsPath: require.resolve('./workflows'),
    activities: { ...createReviewActivities(client, loadDocument), ...createAskActivity(client) },
  })
  const temporal = new TemporalClient({ connection: await Connection.connect({ address }) })
  const verdict = await worker.runUntil(
    temporal.workflow.execute(review, { taskQueue, workflowId: `review-of-${documentId}`, args: [documentId] }),
  )
  console.log(verdict)

  await temporal.connection.close()
  await connection.close()
  await client.disconnect()
}

void main(process.argv[2])
