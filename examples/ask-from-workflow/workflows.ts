/** A backend's own workflow that has an agent judge a document. References only: neither the document nor the answer passes through here. */
import { proxyActivities } from '@temporalio/workflow'
import type { AskActivities } from '../../index'
import type { Verdict, ReviewActivities } from './activities'

const { sendDocument, readVerdict } = proxyActivities<ReviewActivities>({ startToCloseTimeout: '30 seconds' })
/** As long as a turn may take; its heartbeats say that somebody still waits. */
const { awaitTurn } = proxyActivities<AskActivities>({ startToCloseTimeout: '1 day', heartbeatTimeout: '15 seconds' })

export async function review(documentId: string): Promise<Verdict> {
  const sent = await sendDocument(documentId)
  const turn = await awaitTurn(sent)
  return turn.reason === 'done' ? readVerdict(turn) : 'undecided'
}
