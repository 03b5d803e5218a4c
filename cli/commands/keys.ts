/** Commands about keys, and about what goes: key new, erase, rekey, retention. */
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import type { Keeper, Sharer } from '../../contract/keys'
import { SavefileError } from '../../contract/errors'
import { withExamples, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { writeNew } from '../files'
import { bytes, count } from '../numbers'

export function addKeyCommands(program: Command, cli: Cli): void {
  addErase(program, cli)
  addRetention(program, cli)
  addRekey(program, cli)
  addKey(program, cli)
  addQueueKey(program, cli)
}

function addKey(program: Command, cli: Cli): void {
  const key = program
    .command('key')
    .summary('owner keys, which open encrypted sessions')
    .description('Owner keys, which open encrypted sessions.')
  const command = key
    .command('new')
    .summary('print a new owner key')
    .description(
      'Prints a new owner key, one line for a key file. Nobody else has it, and nothing brings it back: keep a copy of the file.',
    )
    .action(async () => {
      const { makeOwnerKey } = await import('../../client/owner-key.js')
      const made = makeOwnerKey()
      if (cli.out.json) cli.out.value(made)
      else cli.out.print(made.key)
    })
  withExamples(command, ['savefile key new > key-file && chmod 600 key-file', 'export SAVEFILE_KEY_FILE=$PWD/key-file'])
}

function addQueueKey(program: Command, cli: Cli): void {
  const keys = program
    .command('queue-key')
    .summary('keys of hosts that run tools of encrypted sessions')
    .description('Keys of hosts that run tools of encrypted sessions.')
  const command = keys
    .command('new')
    .summary('make a pair')
    .description(
      "Makes a private key in <file>, for the host of the queue only, and prints its public key: the tool's declaration says it as queueKey. Calls of encrypted sessions are sealed for it. The file may not be there yet.",
    )
    .argument('<file>', 'where the private key goes')
    .action(async (file: string) => {
      const { makeQueueKey } = await import('../../client/owner-key.js')
      const { privateKey, publicKey } = makeQueueKey()
      await writeNew(file, `${privateKey}\n`, 0o600)
      if (cli.out.json) cli.out.value({ file, key: publicKey })
      else cli.out.print(publicKey)
    })
  withExamples(command, ['savefile queue-key new gpu.key', 'savefile worker --tool-queue gpu --queue-key gpu.key'])
}

function addErase(program: Command, cli: Cli): void {
  const command = program
    .command('erase')
    .summary('destroy the key of an encrypted session: its content is gone for good')
    .description(
      'Names the forks that share events with the session and lose them too, and the compactions and sub-agents that keep what they say of it; asks; then closes the session and destroys its key. Nobody can read its content again, also not in copies; the chain still verifies. A session that was not created encrypted cannot be erased. What backups keep: docs/erase.md.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .option('-y, --yes', 'do not ask')
    .option('--why <text>', 'is kept, in clear, in the event that says that the key was destroyed')
    .action(async (prefix: string, options: { yes?: boolean; why?: string }) => {
      const { out } = cli
      const client = await cli.client()
      const session = await cli.find(prefix)
      const sharers = await client.sharers(session)
      const keepers = await client.keepers(session)
      if (!options.yes && !(await confirmed(cli, session, sharers, keepers))) return cli.exit(EXIT.refused)
      const erased = await client.erase(session, options.why === undefined ? {} : { why: options.why })
      if (out.json) return out.value({ ...erased, sharers, keepers })
      out.print(`erased ${session}${erased.seq === null ? '' : ` (event ${erased.seq})`}`)
      if (sharers.length > 0) out.note(`${count(sharers.length, 'fork')} lost what they shared: ${names(sharers)}`)
      if (keepers.length > 0) out.note(`${keeping(keepers)} Erase them too, if what they say is to go.`)
    })
  withExamples(command, ['savefile erase 3f8a', 'savefile erase 3f8a --yes --why "asked for by the customer, case 81"'])
}

const names = (sharers: readonly Sharer[]): string =>
  sharers.map(({ session, sharedTo }) => `${session} (events up to ${sharedTo})`).join(', ')

const keeping = (keepers: readonly Keeper[]): string =>
  `These have it in words of their own, and keep them: ${keepers.map(keeperName).join(', ')}.`

const keeperName = ({ session, how, of, encrypted }: Keeper): string =>
  `${session} (${how === 'compaction' ? `a summary of ${of}` : `a sub-agent of ${of}`}${encrypted ? '' : ', in clear'})`

async function confirmed(
  cli: Cli,
  session: string,
  sharers: readonly Sharer[],
  keepers: readonly Keeper[],
): Promise<boolean> {
  const { out } = cli
  if (sharers.length > 0) out.note(`These forks share events with it, and lose them too: ${names(sharers)}`)
  if (keepers.length > 0) out.note(keeping(keepers))
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new SavefileError(
      'invalid_input',
      `Erasing ${session} cannot be undone${sharers.length > 0 ? `, and ${count(sharers.length, 'fork')} would lose what they share with it: ${names(sharers)}` : ''}. Say --yes to do it.`,
      { session, sharers, keepers },
    )
  const ask = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const question = `Erase ${session} for good? Type its id, or its first 4 characters: `
    const answer = (await ask.question(question, { signal: cli.signal })).trim()
    // Spaces are no answer.
    return answer.length >= Math.min(4, session.length) && session.startsWith(answer)
  } finally {
    ask.close()
  }
}

function addRekey(program: Command, cli: Cli): void {
  const command = program
    .command('rekey')
    .summary('wrap all data keys with the current owner key')
    .description(
      'Wraps the data key of every encrypted session of the space with the first owner key, for which an older one must still be there to open it. The log is not touched. Exit code 4 where some could not be opened.',
    )
    .action(async () => {
      const { out } = cli
      const client = await cli.client()
      let told = Date.now()
      const done = await client.rekey((keys) => {
        if (Date.now() - told < 1000) return
        told = Date.now()
        out.note(`${count(keys, 'key')} so far`)
      })
      if (out.json) out.value(done)
      else
        out.print(
          `${count(done.rewrapped, 'key')} wrapped anew with ${done.owner}, ${done.already} were already${done.missing > 0 ? `, ${done.missing} that no key here opens` : ''}`,
        )
      if (done.missing > 0) cli.exit(EXIT.refused)
    })
  withExamples(command, ['(savefile key new; cat old-keys) > keys && SAVEFILE_KEY_FILE=keys savefile rekey'])
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function durationOf(text: string): number {
  const [, n = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(n) * (UNITS[unit] ?? Number.NaN)
  if (ms >= 60_000) return ms
  throw new SavefileError(
    'invalid_input',
    `--older-than is ${JSON.stringify(text)}; it must be a number and a unit (90m, 12h, 7d), and at least a minute.`,
  )
}

function addRetention(program: Command, cli: Cli): void {
  const command = program
    .command('retention')
    .summary('drop blobs and rows that nothing refers to')
    .description(
      'Drops, of one space: blobs that no event needs, draft rows and live text of steps that are over, old snapshots, keys of sessions that were never made. Never an event. Safe beside anything that runs: whoever writes wins.',
    )
    .option('--older-than <time>', 'nothing younger is looked at: 90m, 12h, 7d', '7d')
    .option('--dry-run', 'only say what would go')
    .action(async (options: { olderThan: string; dryRun?: boolean }) => {
      const { out } = cli
      const olderThanMs = durationOf(options.olderThan)
      const client = await cli.client()
      let told = Date.now()
      const done = await client.retain({
        olderThanMs,
        dryRun: options.dryRun ?? false,
        onProgress: (sofar) => {
          if (Date.now() - told < 1000) return
          told = Date.now()
          out.note(`${count(sofar.references, 'reference')}, ${count(sofar.blobs, 'blob')} so far`)
        },
      })
      if (out.json) return out.value({ ...done, dryRun: options.dryRun ?? false })
      const { blobs, blobBytes, references, kept, drafts, deltas, snapshots, keys } = done
      out.print(
        [
          `${options.dryRun ? 'would drop' : 'dropped'} ${count(blobs, 'blob')} (${bytes(blobBytes)})`,
          count(references, 'reference'),
          count(drafts, 'draft'),
          count(deltas, 'piece') + ' of live text',
          count(snapshots, 'snapshot'),
          count(keys, 'key'),
        ].join(', '),
      )
      if (kept > 0)
        out.note(`${count(kept, 'reference')} could not be judged: a step runs, or the content is locked here`)
    })
  withExamples(command, ['savefile retention --dry-run', 'savefile retention --older-than 30d --json'])
}
