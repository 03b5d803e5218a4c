/** `savefile worker`: takes work from the task queue until it is told to stop. Loads the worker only here: it is large. */
import type { Command } from 'commander'
import { withExamples, type Cli } from '../cli'

export function addWorker(program: Command, cli: Cli): void {
  const command = program
    .command('worker')
    .summary('run a worker: what advances sessions')
    .description(
      'Runs a worker in the foreground. It reads SAVEFILE_DATABASE_URL, TEMPORAL_ADDRESS and the keys of the providers from the environment; without them, the development stack of this folder. Ctrl-C lets what runs end; twice ends at once.',
    )
    .option('--tools <file>', 'a module that exports tools of your own (defineTool), beside the built-in ones')
    .option('--tool-queue <name>', 'run only calls of tools whose declaration has this queue; advance no session')
    .option(
      '--queue-key <file>',
      "the queue's private key (queue-key new), which opens its calls of encrypted sessions",
    )
    .action(async ({ tools, ...queue }: { tools?: string; toolQueue?: string; queueKey?: string }) => {
      const { loadTools } = await import('../../workers/load-tools.js')
      const { runWorker } = await import('../../workers/run.js')
      cli.takeSignals()
      await runWorker({
        tools: await loadTools(tools),
        ...queue,
        say: (line) => cli.out.note(`worker ${process.pid}: ${line}`),
      })
    })
  withExamples(command, [
    'savefile worker',
    'savefile worker --tools ./my-tools.js',
    'savefile worker --tools ./gpu-tools.js --tool-queue gpu',
    'savefile worker --tools ./gpu-tools.js --tool-queue gpu --queue-key gpu.key',
    'SAVEFILE_DATABASE_URL=postgres://… TEMPORAL_ADDRESS=temporal:7233 savefile worker',
  ])
}
