/** `savefile worker`: takes work from the task queue until it is told to stop. Loads the worker only here: it is large. */
import type { Command } from 'commander'
import { findAddresses } from '../../client/addresses'
import { withExamples, type Cli } from '../cli'

export function addWorker(program: Command, cli: Cli): void {
  const command = program
    .command('worker')
    .summary('run a worker: what advances sessions')
    .description(
      'Runs a worker in the foreground. It reads SAVEFILE_DATABASE_URL, TEMPORAL_ADDRESS and the keys of the providers from the environment; without them, the development stack of this folder. Ctrl-C lets what runs end; twice ends at once.',
    )
    .action(async () => {
      const { databaseUrl, temporal } = findAddresses({}, process.env, cli.folder)
      process.env.SAVEFILE_DATABASE_URL ??= databaseUrl
      process.env.TEMPORAL_ADDRESS ??= temporal.address
      if (temporal.namespace) process.env.TEMPORAL_NAMESPACE ??= temporal.namespace
      const { Runtime } = await import('@temporalio/worker')
      const { startWorker } = await import('../../workers/run-worker.js')
      const { readSettings } = await import('../../workers/settings.js')
      const say = (line: string): void => cli.out.note(`worker ${process.pid}: ${line}`)
      // The signals are ours: a SIGTERM lets what runs end.
      Runtime.install({
        shutdownSignals: [],
        telemetryOptions: { logging: { forward: {}, filter: { core: 'WARN', other: 'WARN' } } },
      })
      const settings = readSettings(process.env)
      const worker = startWorker(settings, say)
      cli.takeSignals()
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => worker.shutdown())
      worker.ready.then(
        () => say(`takes work from ${settings.taskQueue} at ${settings.temporal.address}`),
        () => undefined, // `done` rejects with the same
      )
      await worker.done
    })
  withExamples(command, [
    'savefile worker',
    'SAVEFILE_DATABASE_URL=postgres://… TEMPORAL_ADDRESS=temporal:7233 savefile worker',
  ])
}
