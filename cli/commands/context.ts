/** Commands about what a model is sent: context, migrate. */
import type { Command } from 'commander'
import type { Context } from '../../client/context'
import type { DroppedKind, MigrateRequest, MigrationReport } from '../../client/migrate'
import { modelNamed } from '../../client/model-named'
import { ModelSpec } from '../../contract/definition'
import { SavefileError } from '../../contract/errors'
import { sessionAt, withExamples, type Cli } from '../cli'
import { count, tokens } from '../numbers'
import { oneLine, safeText } from '../safe-text'

export function addContextCommands(program: Command, cli: Cli): void {
  addContext(program, cli)
  addMigrate(program, cli)
}

interface ContextCliOptions {
  as?: string
  platform?: string
  parts?: boolean
}

function addContext(program: Command, cli: Cli): void {
  const command = program
    .command('context')
    .summary('what the model was or would be sent')
    .description(
      'Prints the body of a request on stdout, byte for byte, and what it consists of on stderr: about how many tokens each part is, and what is dropped or altered for this provider. With @seq of an answer: the request that it answers, and whether what is put together now is what was sent, by its sha256. Of any other event, or without: the one that would be made behind it. Nothing is sent.',
    )
    .argument('<session[@seq]>', 'id or the beginning of one, and which event (default: the last)')
    .option('--as <provider[/model]>', 'as another provider or model would be sent it')
    .option('--platform <host>', 'the host that it goes to, where the log does not say')
    .option('--parts', 'only what it consists of, on stdout')
    .action(async (what: string, options: ContextCliOptions) => {
      const { out } = cli
      const { prefix, at } = sessionAt(what)
      const client = await cli.client()
      const session = await cli.find(prefix)
      const as = options.as === undefined ? undefined : modelNamed(options.as)
      const context = await client.context(session, {
        at,
        ...(as ? { as: { provider: as.provider, model: as.name } } : {}),
        platform: options.platform,
      })
      if (out.json) return out.value(context)
      const say = options.parts ? (line: string) => out.print(line) : (line: string) => out.note(line)
      for (const line of linesOf(context, options.parts ? cli.out.paint : cli.out.notePaint)) say(line)
      if (!options.parts) out.print(out.isTerminal ? safeText(context.body) : context.body)
    })
  withExamples(command, [
    'savefile context 3f8a',
    'savefile context 3f8a@14 > request.json',
    'savefile context 3f8a --as openai-chat/qwen3.5-coder --parts',
    "savefile context 3f8a --json | jq '.parts'",
  ])
}

function linesOf(context: Context, paint: Cli['out']['paint']): string[] {
  const { provider, model, platform, made, same, why, parts, counted, hash } = context
  const which = made === null ? 'what would be sent' : `the request of event ${made}`
  const check =
    same === null
      ? ''
      : same
        ? paint('green', ' · as it was sent')
        : paint('yellow', ` · not as it was sent: ${why ?? 'nobody knows why'}`)
  return [
    `${paint('bold', `${provider} ${oneLine(model, 60)}`)} at ${platform}: ${which}${check}`,
    paint('dim', `sha256 ${hash}`),
    `about ${tokens(context.tokens)} tokens${counted === null ? '' : `; the provider counted ${tokens(counted)}`}`,
    ...parts.flatMap((part) => [
      `  ${part.what.padEnd(9)} ${(part.seq === null ? '' : `@${part.seq}`).padStart(7)} ${tokens(part.tokens).padStart(8)}`,
      ...part.dropped.map((drop) => paint('yellow', `${' '.repeat(28)}${drop.what}: ${oneLine(drop.why, 100)}`)),
    ]),
  ]
}

interface MigrateCliOptions {
  model?: string
  effort?: string
  definition?: string
  why?: string
  dryRun?: boolean
  fork?: boolean
  id?: string
  title?: string
  workFolder?: string
  platform?: string
}

const FOLDERS = ['copy', 'worktree', 'share'] as const

function addMigrate(program: Command, cli: Cli): void {
  const command = program
    .command('migrate')
    .summary('go on with another model, in place or on a fork')
    .description(
      'Lets a session go on with another model, from its next model call on, also in the middle of a turn; and back, with what the first one signed as it was. Says what the new provider is not sent, or sent otherwise; the first answer keeps the same report in its manifest. The log stays as it is.',
    )
    .argument('<session[@seq]>', 'id or the beginning of one; with --fork, the last event that is shared')
    .option('--model <[provider/]model>', 'the model that goes on; without a provider, of the same one')
    .option('--effort <level>', 'how hard it thinks: none, minimal, low, medium, high, xhigh, max')
    .option('--definition <file>', 'a JSON file instead: what the session runs under from then on')
    .option('--why <text>', 'kept in the log')
    .option('--dry-run', 'only say what would be dropped or altered')
    .option('--fork', 'on a fork: this session stays with its model')
    .option('--id <id>', 'of the fork')
    .option('--title <title>', 'of the fork')
    .option('--work-folder <how>', 'of the fork: copy (the default), worktree, share, or a folder that exists')
    .option('--platform <host>', 'the host that requests will go to, where nothing else says which')
    .action(async (what: string, options: MigrateCliOptions) => {
      const { out } = cli
      const { prefix, at } = sessionAt(what)
      if (at !== undefined && !options.fork)
        throw new SavefileError('invalid_input', 'A session goes on from its end: @seq is for --fork.')
      const client = await cli.client()
      const session = await cli.find(prefix)
      const migrated = await client.migrate(session, { ...(await requestOf(options, at)), dryRun: options.dryRun })
      if (out.json) return out.value(migrated)
      for (const line of report(migrated.report, Boolean(options.dryRun), out.paint)) out.print(line)
      if (options.dryRun) return out.note('nothing was changed')
      if (options.fork) {
        out.print(migrated.session)
        return out.note(`forked from ${session}. Go on: savefile chat ${migrated.session.slice(0, 8)}`)
      }
      out.note(
        migrated.seq === null
          ? 'it runs under that already: nothing was changed'
          : `from event ${migrated.seq} on. Back again: savefile migrate ${prefix} --model ${migrated.report.from.provider}/${migrated.report.from.model}`,
      )
    })
  withExamples(command, [
    'savefile migrate 3f8a --model openai-chat/gpt-6-sol --dry-run',
    'savefile migrate 3f8a --model claude-opus-5-5 --effort high',
    'savefile migrate 3f8a@14 --model openai-chat/qwen3.5-coder --fork',
    'savefile migrate 3f8a --definition agent.json --why "the new tools"',
  ])
}

async function requestOf(options: MigrateCliOptions, at: number | undefined): Promise<MigrateRequest> {
  const { model, effort, definition, why, fork, id, title, workFolder, platform } = options
  if (definition !== undefined && (model !== undefined || effort !== undefined))
    throw new SavefileError('invalid_input', 'A definition names its model: leave --model and --effort out.')
  const folder = FOLDERS.find((how) => how === workFolder)
  const own = { session: id, title, at, ...(folder ? { folder } : { workFolder }) }
  return {
    why,
    platform,
    ...(definition === undefined
      ? {}
      : { definition: await (await import('../definition-file.js')).readDefinition(definition) }),
    ...(model === undefined && effort === undefined
      ? {}
      : { model: { ...(model === undefined ? {} : modelNamed(model)), ...effortOf(effort) } }),
    ...(fork ? { fork: own } : {}),
  }
}

function effortOf(effort: string | undefined): Pick<MigrateRequest, never> | { reasoning: ModelSpec['reasoning'] } {
  if (effort === undefined) return {}
  const parsed = ModelSpec.shape.reasoning.safeParse({ effort })
  if (parsed.success) return { reasoning: parsed.data }
  throw new SavefileError('invalid_input', `There is no effort ${JSON.stringify(effort)}: see savefile migrate --help.`)
}

function report(r: MigrationReport, dryRun: boolean, paint: Cli['out']['paint']): string[] {
  const to = `${r.to.provider} ${oneLine(r.to.model, 60)} at ${r.to.platform}`
  return [
    `${r.from.provider} ${oneLine(r.from.model, 60)} → ${paint('bold', to)}, about ${tokens(r.tokens)} tokens a request`,
    ...r.leftOut.map((name) => paint('yellow', `  of the definition: ${name}, which is the other vendor's`)),
    ...(r.dropped.length === 0
      ? [paint('green', `  everything the log holds ${dryRun ? 'would be' : 'is'} sent as it is`)]
      : r.dropped.map((kind) => paint('yellow', `  ${kindLine(kind)}`))),
  ]
}

const SHOWN = 12

function kindLine({ what, why, seqs }: DroppedKind): string {
  const events = [...new Set(seqs)]
  const shown = events.slice(0, SHOWN).map((seq) => `@${seq}`)
  const more = events.length > SHOWN ? ` and ${count(events.length - SHOWN, 'more event')}` : ''
  return `${seqs.length} × ${what}: ${oneLine(why, 120)} (${shown.join(', ')}${more})`
}
