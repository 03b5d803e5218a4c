/**
 * The reconciler: nudges every session whose work is due while its log and its beats stand still, open run or not (PROTOCOL.md rule 20).
 * A run that was nudged again and again without progress (a non-determinism error, a lost task) is terminated and replaced: the log
 * knows where to go on. The same function serves the Schedule and `savefile reconcile`.
 */
import type { SessionRef } from '../contract/ids'
import type { DueLog } from '../contract/ports'
import { OVERDUE_MS, RECONCILE } from '../contract/timing'

export interface ReconcileDeps {
  log: DueLog
  /** Starts the session's run, or wakes it. False where Temporal did not take it. */
  nudge(ref: SessionRef): Promise<boolean>
  /** Ends an open run that makes no progress; false where there is none. The reason it gives is an enum word. */
  terminateStuck(ref: SessionRef): Promise<boolean>
}

export async function reconcileOnce(deps: ReconcileDeps): Promise<{ nudged: number; replaced: number }> {
  let nudged = 0
  let replaced = 0
  for (;;) {
    const due = await deps.log.takeDue(RECONCILE.batch, OVERDUE_MS)
    for (let i = 0; i < due.length; i += 20) {
      await Promise.all(
        due.slice(i, i + 20).map(async ({ ref, stalls }) => {
          if (stalls >= RECONCILE.replaceAfterStalls && (await deps.terminateStuck(ref))) replaced++
          if (await deps.nudge(ref)) nudged++
        }),
      )
    }
    if (due.length < RECONCILE.batch) break
  }
  await deps.log.analyse()
  return { nudged, replaced }
}
