/** `savefile reconcile`: what the Schedule does, by hand. */
import type { Command } from 'commander'
import { findAddresses } from '../../client/addresses'
import type { Client as TemporalClient } from '@temporalio/client'
import { SavefileError } from '../../contract/errors'
import { withExamples, type Cli } from '../cli'
import { count } from '../numbers'

const DEADLINE_MS = 5_000

export function addReconcile(program: Command, cli: Cli): void {
  const command = program
    .command('reconcile')
    .summary('wake every session whose work is overdue')
    .description(
      'Starts or wakes the run of every session that has work to do while nothing moves, for example on a new, empty Temporal. The schedule of the workers does the same every few seconds; running both is harmless.',
    )
    .action(async () => {
      const { out } = cli
      const { databaseUrl, temporal: settings } = findAddresses({}, cli.env, cli.folder)
      const { lazyTemporal } = await import('../../client/temporal.js')
      const { nudge } = await import('../../client/nudge.js')
      const { reconcileOnce } = await import('../../activities/reconcile.js')
      const { createDueLog } = await import('../../log/due.js')
      const { createPool } = await import('../../log/pool.js')
      const { checkSchema } = await import('../../log/migrate.js')
      const { terminateStuck } = await import('../../workers/control.js')
      const temporal = lazyTemporal(settings)
      const pool = createPool(databaseUrl, { max: 2 })
      try {
        await checkSchema(pool)
        await answers(temporal, settings.address)
        const done = await reconcileOnce({
          log: createDueLog(pool),
          nudge: async (ref) => (await nudge(temporal, ref, { taskQueue: settings.taskQueue })).nudged,
          terminateStuck: (ref) => terminateStuck(temporal, ref),
        })
        if (out.json) out.value(done)
        else out.print(`woke ${count(done.nudged, 'session')}, replaced ${count(done.replaced, 'stuck run')}`)
      } finally {
        await pool.end()
        await temporal.connection.close()
      }
    })
  withExamples(command, ['savefile reconcile'])
}

/** Asked before the overdue are taken: taking them moves their time on. */
async function answers(temporal: TemporalClient, address: string): Promise<void> {
  try {
    await temporal.connection.withDeadline(Date.now() + DEADLINE_MS, () => temporal.workflowService.getSystemInfo({}))
  } catch (cause) {
    throw new SavefileError(
      'temporal_unreachable',
      `Temporal at ${address} does not answer. Start it, or set TEMPORAL_ADDRESS.`,
      { address },
      { cause },
    )
  }
}
