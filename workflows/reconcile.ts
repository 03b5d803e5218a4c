/** The reconciler's workflow: a Schedule starts it, one activity does it (PROTOCOL.md rule 20). Numbers only in its history. */
import { proxyActivities } from '@temporalio/workflow'
import type { ReconcileActivities } from '../contract/activities'

const { reconcile: look } = proxyActivities<ReconcileActivities>({
  startToCloseTimeout: 60_000,
  // The schedule tries again soon enough; a pile of retries would only nudge the same sessions.
  retry: { maximumAttempts: 1 },
})

export async function reconcile(): Promise<{ nudged: number; replaced: number }> {
  return look()
}
