/** Commands that show what can be trusted: verify. */
import type { Command } from 'commander'
import { verifyBundle } from '../../client/bundles'
import { nameProblem } from '../../contract/ids'
import { withExamples, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { readFileOrStdin } from '../files'
import { count } from '../numbers'
import { oneLine } from '../safe-text'
import { tellProgress } from './bundles'

export function addProofCommands(program: Command, cli: Cli): void {
  addVerify(program, cli)
}

/** What can't be the beginning of an id is a file. */
const isFile = (target: string): boolean => nameProblem('session id', target) !== null

interface VerifyFlags {
  deep?: boolean
}

function addVerify(program: Command, cli: Cli): void {
  const command = program
    .command('verify')
    .summary('recompute the hashes of a session, or of a bundle')
    .description(
      'Recomputes the hash of every event, and its link to the one before. Exit code 1 and the first bad event, if one was changed, removed or added. A bundle needs no service.',
    )
    .argument('<session>', 'id, or the beginning of one; or a bundle: a file name with a dot or a slash, or "-"')
    .option('--deep', 'also whether each event may follow those before it; ten times as slow')
    .action(async (target: string, options: VerifyFlags) => {
      const ok = isFile(target) ? await verifyFile(cli, target, options) : await verifySession(cli, target, options)
      if (!ok) cli.exit(EXIT.failed)
    })
  withExamples(command, ['savefile verify 3f8a', 'savefile verify --deep report.jsonl.gz'])
}

async function verifySession(cli: Cli, prefix: string, { deep }: VerifyFlags): Promise<boolean> {
  const { out } = cli
  const client = await cli.client()
  const session = await cli.find(prefix)
  let told = Date.now()
  const verified = await client.verify(session, {
    deep,
    onProgress(events) {
      if (Date.now() - told < 1000) return
      told = Date.now()
      out.note(`${count(events, 'event')} so far`)
    },
  })
  if (out.json) out.value({ session, ...verified })
  else if (verified.ok)
    out.print(
      `${out.paint('green', 'ok')}  ${count(verified.events, 'event')}, head ${verified.head} ${verified.headHash}`,
    )
  else out.print(`${out.paint('red', 'broken')}  at event ${verified.seq}: ${oneLine(verified.why, 200)}`)
  return verified.ok
}

async function verifyFile(cli: Cli, file: string, { deep }: VerifyFlags): Promise<boolean> {
  const { out } = cli
  const checked = await verifyBundle(readFileOrStdin(file), { deep, onProgress: tellProgress(cli) })
  if (out.json) out.value({ file, ...checked })
  else if (checked.ok) {
    const { session, head, headHash, events, sessions, blobs } = checked
    const more = [count(events, 'event'), count(sessions, 'session'), count(blobs, 'blob')].join(', ')
    out.print(`${out.paint('green', 'ok')}  ${session}, head ${head} ${headHash}; ${more}`)
  } else
    out.print(
      `${out.paint('red', 'broken')}  ${checked.line === null ? '' : `at line ${checked.line}: `}${oneLine(checked.why, 300)}`,
    )
  return checked.ok
}
