/** Commands that show what can be trusted: verify, anchor, anchor-key, audit. */
import type { Command } from 'commander'
import { anchorKeyName, newAnchorKey, readAnchors } from '../../client/anchors'
import { verifyBundle } from '../../client/bundles'
import { SavefileError } from '../../contract/errors'
import { nameProblem } from '../../contract/ids'
import type { Anchor } from '../../contract/client-port'
import { auditLines } from '../audit-lines'
import { withExamples, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { appendLines, linesOfFile, readFileOrStdin, readText, writeNew } from '../files'
import { count } from '../numbers'
import { oneLine } from '../safe-text'
import { tellProgress } from '../bundle-progress'

export function addProofCommands(program: Command, cli: Cli): void {
  addVerify(program, cli)
  addAnchor(program, cli)
  addAnchorKey(program, cli)
  addAudit(program, cli)
}

/** What can't be the beginning of an id is a file. */
const isFile = (target: string): boolean => nameProblem('session id', target) !== null

interface VerifyFlags {
  deep?: boolean
  anchor?: string
  publicKey?: string
}

function addVerify(program: Command, cli: Cli): void {
  const command = program
    .command('verify')
    .summary('recompute the hashes of a session, or of a bundle')
    .description(
      'Recomputes the hash of every event, and its link to the one before. Exit code 1 and the first bad event, if one was changed, removed or added. A bundle needs no service.',
    )
    .argument('<session>', 'id, or the beginning of one; or a bundle: a file name with a dot or a slash, or "-"')
    .option('--deep', 'also whether each event may follow those before it; some four times the work')
    .option(
      '--anchor <file>',
      'also against anchors: shows a log that was rewritten or cut by whoever owns the database',
    )
    .option('--public-key <file>', 'whose anchors they must be; without it a forged anchor is not noticed')
    .action(async (target: string, options: VerifyFlags) => {
      const ok = isFile(target) ? await verifyFile(cli, target, options) : await verifySession(cli, target, options)
      if (!ok) cli.exit(EXIT.failed)
    })
  withExamples(command, [
    'savefile verify 3f8a',
    'savefile verify --deep report.jsonl.gz',
    'savefile verify 3f8a --anchor anchors.jsonl --public-key owner.key.pub',
  ])
}

/** @throws SavefileError `invalid_anchor`, `invalid_input` */
async function anchorsOf(cli: Cli, { anchor, publicKey }: VerifyFlags): Promise<Anchor[]> {
  if (anchor === undefined) {
    if (publicKey === undefined) return []
    throw new SavefileError('invalid_input', '--public-key says whose anchors: give --anchor too.')
  }
  const key = publicKey === undefined ? undefined : anchorKeyName(await readText(publicKey))
  const anchors = await readAnchors(linesOfFile(anchor), { key })
  if (key === undefined)
    for (const name of new Set(anchors.map((a) => a.key)))
      cli.out.note(`signed by ${name}; --public-key would say whether that is the owner`)
  return anchors
}

async function verifySession(cli: Cli, prefix: string, options: VerifyFlags): Promise<boolean> {
  const { out } = cli
  const { deep } = options
  const anchors = await anchorsOf(cli, options)
  const client = await cli.client()
  const session = await cli.find(prefix)
  let told = Date.now()
  const verified = await client.verify(session, {
    deep,
    anchors,
    onProgress(events) {
      if (Date.now() - told < 1000) return
      told = Date.now()
      out.note(`${count(events, 'event')} so far`)
    },
  })
  if (out.json) out.value({ session, ...verified })
  else if (verified.ok)
    out.print(
      `${out.paint('green', 'ok')}  ${count(verified.events, 'event')}, head ${verified.head} ${verified.headHash}${held(options, verified.anchors)}`,
    )
  else out.print(`${out.paint('red', 'broken')}  at event ${verified.seq}: ${oneLine(verified.why, 200)}`)
  return verified.ok
}

async function verifyFile(cli: Cli, file: string, options: VerifyFlags): Promise<boolean> {
  const { out } = cli
  const { deep } = options
  const anchors = await anchorsOf(cli, options)
  const checked = await verifyBundle(readFileOrStdin(file), { deep, anchors, onProgress: tellProgress(cli) })
  if (out.json) out.value({ file, ...checked })
  else if (checked.ok) {
    const { session, head, headHash, events, sessions, blobs } = checked
    const more = [count(events, 'event'), count(sessions, 'session'), count(blobs, 'blob')].join(', ')
    out.print(
      `${out.paint('green', 'ok')}  ${session}, head ${head} ${headHash}; ${more}${held(options, checked.anchors)}`,
    )
  } else
    out.print(
      `${out.paint('red', 'broken')}  ${checked.line === null ? '' : `at line ${checked.line}: `}${oneLine(checked.why, 300)}`,
    )
  return checked.ok
}

const held = ({ anchor }: VerifyFlags, anchors: number): string =>
  anchor === undefined ? '' : `; ${count(anchors, 'anchor')} of it hold`

function addAnchor(program: Command, cli: Cli): void {
  const command = program
    .command('anchor')
    .summary('sign the head of a session, to be kept elsewhere')
    .description(
      'Prints the head, its hash, how many events there are and the time, signed by the owner (ed25519). Kept where the database is not, it shows later whether the log was rewritten or cut: verify --anchor.',
    )
    .argument('[session]', 'id, or the beginning of one')
    .option('--all', 'every session of the space')
    .requiredOption('--key <file>', 'the private key that anchor-key made')
    .option('-o, --out <file>', 'append to this file; without it: stdout')
    .action(async (prefix: string | undefined, options: { all?: boolean; key: string; out?: string }) => {
      if ((prefix === undefined) === !options.all)
        throw new SavefileError('invalid_input', 'Name a session, or give --all.')
      const key = await readText(options.key)
      const client = await cli.client()
      const anchors = prefix === undefined ? client.anchorAll(key) : one(client.anchor(await cli.find(prefix), key))
      const n = await appendLines(options.out, anchors)
      if (options.out !== undefined) cli.out.note(`${count(n, 'anchor')} added to ${oneLine(options.out, 200)}`)
    })
  withExamples(command, [
    'savefile anchor 3f8a --key owner.key -o anchors.jsonl',
    'savefile anchor --all --key owner.key -o /mnt/elsewhere/anchors.jsonl',
  ])
}

async function* one<T>(value: Promise<T>): AsyncGenerator<T> {
  yield await value
}

function addAnchorKey(program: Command, cli: Cli): void {
  const keys = program
    .command('anchor-key')
    .summary('keys to sign anchors with')
    .description('Keys to sign anchors with.')
  const command = keys
    .command('new')
    .summary('make a pair')
    .description(
      'Makes a private key in <file>, for you only, and its public key in <file>.pub, for whoever verifies. Neither may be there yet.',
    )
    .argument('<file>', 'where the private key goes')
    .action(async (file: string) => {
      const { privateKey, publicKey } = newAnchorKey()
      await writeNew(file, privateKey, 0o600)
      await writeNew(`${file}.pub`, publicKey, 0o644)
      if (cli.out.json) cli.out.value({ privateKey: file, publicKey: `${file}.pub`, key: anchorKeyName(publicKey) })
      else cli.out.print(`${oneLine(file, 200)} and ${oneLine(file, 200)}.pub: ${anchorKeyName(publicKey)}`)
    })
  withExamples(command, ['savefile anchor-key new owner.key'])
}

function addAudit(program: Command, cli: Cli): void {
  const command = program
    .command('audit')
    .summary('who did what when, what was allowed, what the model saw')
    .description(
      'Prints an entry for each event as Markdown: who, what, who allowed it, and of each model call which events it was sent, what was dropped for the provider, and the hash of the request. With --json: one entry a line, whole.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .action(async (prefix: string) => {
      const { out } = cli
      const client = await cli.client()
      const session = await cli.find(prefix)
      if (!out.json) out.print(`# Audit of ${session}\n`)
      for await (const entry of client.audit(session)) {
        if (out.json) out.value(entry)
        else for (const line of auditLines(entry)) out.print(line)
      }
    })
  withExamples(command, ['savefile audit 3f8a > audit.md', "savefile audit 3f8a --json | jq 'select(.approval)'"])
}
