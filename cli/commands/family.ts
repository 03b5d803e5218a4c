/** Commands about a session and its relations: fork, tree, diff. */
import { Option, type Command } from 'commander'
import type { FamilyMember } from '../../client/family'
import type { Client, ForkRequest } from '../../client/types'
import { ProviderName } from '../../contract/definition'
import { SavefileError } from '../../contract/errors'
import { sessionAt, withExamples, wholeNumber, type Cli } from '../cli'
import { bytes, count } from '../numbers'
import { cut, oneLine } from '../safe-text'
import { shortIds } from '../short-ids'
import { createTimeline } from '../timeline'
import { STATE, upTo } from './reads'

export function addFamilyCommands(program: Command, cli: Cli): void {
  addFork(program, cli)
  addTree(program, cli)
  addDiff(program, cli)
}

interface ForkCliOptions {
  id?: string
  title?: string
  label?: string[]
  definition?: string
  provider?: string
  model?: string
  queue?: string
  workFolder?: string
  open?: ForkRequest['open']
  encrypted?: boolean
}

const FOLDERS = ['copy', 'worktree', 'share'] as const

function addFork(program: Command, cli: Cli): void {
  const command = program
    .command('fork')
    .summary('a new session that shares the beginning of another')
    .description(
      'Makes a new session whose log begins with that of another, up to an event. Nothing of the log is copied, and the other one goes on undisturbed. What tools did is not undone.',
    )
    .argument('<session[@seq]>', 'id or the beginning of one, and the last event that is shared (default: all)')
    .option('--id <id>', "the new session's id")
    .option('--title <title>', 'what people call it')
    .option('--label <name=value>', 'a label of its own; again for another', (pair: string, all: string[] = []) => [
      ...all,
      pair,
    ])
    .option('--definition <file>', 'a JSON file: what it runs under instead')
    .option(
      '--provider <name>',
      'the same definition with the model of another provider: anthropic, openai-responses or openai-chat',
    )
    .option('--model <name>', 'the same definition with another model')
    .option('--queue <name>', 'the same definition with its tools on another task queue')
    .option(
      '--work-folder <how>',
      'copy (beside the other, as it is now; the default), worktree (of git), share, or a folder that exists',
    )
    .addOption(
      new Option(
        '--open <policy>',
        'calls that were started and have no result: rule (unsafe ones are unknown) or rerun (run again here, at your risk)',
      )
        .choices(['rule', 'rerun'])
        .default('rule'),
    )
    .option('--encrypted', 'keep what it adds under a key of its own (default: as its parent)')
    .option('--no-encrypted', 'keep what it adds in clear')
    .action(async (what: string, options: ForkCliOptions) => {
      const { out } = cli
      const { prefix, at } = sessionAt(what)
      const client = await cli.client()
      const parent = await cli.find(prefix)
      const info = await client.fork(parent, { at, ...(await requestOf(options, cli)) })
      if (out.json) return out.value(info)
      out.print(info.session)
      out.note(
        `forked from ${parent}@${info.parent?.seq ?? at ?? '?'}. Go on: savefile chat ${info.session.slice(0, 8)}`,
      )
    })
  withExamples(command, [
    'savefile fork 3f8a@14',
    'savefile fork 3f8a --title "another way"',
    'savefile fork 3f8a@14 --model claude-opus-5-5 --work-folder worktree',
  ])
}

async function requestOf(options: ForkCliOptions, cli: Cli): Promise<ForkRequest> {
  const { id: session, title, label = [], definition, provider, model, queue, workFolder, open, encrypted } = options
  const labels = label.map((pair) => {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
    if (name !== undefined && value !== undefined) return [name, value]
    throw new SavefileError('invalid_input', `--label is ${JSON.stringify(pair)}; it must be name=value.`)
  })
  if (provider !== undefined && model === undefined)
    throw new SavefileError('invalid_input', 'Another provider has other models: say --model <name> too.')
  const folder = FOLDERS.find((how) => how === workFolder)
  return {
    session,
    title,
    open,
    queue,
    encrypted,
    ...(labels.length > 0 ? { labels: Object.fromEntries(labels) as Record<string, string> } : {}),
    ...(definition ? { definition: await (await import('../definition-file.js')).readDefinition(definition) } : {}),
    ...(model === undefined ? {} : { model: { name: model, ...(provider ? { provider: providerOf(provider) } : {}) } }),
    ...(folder ? { folder } : { workFolder }),
    onCopy: ({ files, bytes: size }, to) =>
      cli.out.note(`copying the work folder: ${count(files, 'file')}, ${bytes(size)}, to ${to}`),
  }
}

export function providerOf(name: string): ProviderName {
  const known = ProviderName.safeParse(name)
  if (known.success) return known.data
  throw new SavefileError(
    'invalid_input',
    `There is no provider ${JSON.stringify(name)}: ${ProviderName.options.join(', ')}.`,
  )
}

function addTree(program: Command, cli: Cli): void {
  const command = program
    .command('tree')
    .summary('a session with all that it was forked from, and all its forks')
    .description(
      'Draws a family: where each fork branched, on which model it runs, in what state it is. Without a session: the families of those last used.',
    )
    .argument('[session]', 'id, or the beginning of one')
    .option('-n, --limit <n>', 'without a session: how many of those last used', '20')
    .action(async (prefix: string | undefined, options: { limit: string }) => {
      const { out } = cli
      const limit = wholeNumber('--limit', options.limit, 1)
      const client = await cli.client()
      const named = prefix === undefined ? undefined : await cli.find(prefix)
      const roots = named ? [await client.family(named)] : await families(client, limit)
      if (out.json) return roots.forEach((root) => out.value(root))
      if (roots.length === 0) return out.note('There is no session yet. Begin one: savefile run "..." or savefile chat')
      const short = shortIds(roots.flatMap(idsOf))
      for (const root of roots) for (const line of drawn(root, cli, short, named)) out.print(line)
    })
  withExamples(command, [
    'savefile tree 3f8a',
    'savefile tree',
    "savefile tree 3f8a --json | jq '.forks[].info.session'",
  ])
}

async function families(client: Client, limit: number): Promise<FamilyMember[]> {
  const roots: FamilyMember[] = []
  const drawn = new Set<string>()
  for (const { session } of await client.list({ limit })) {
    if (drawn.has(session)) continue
    const root = await client.family(session)
    for (const id of idsOf(root)) drawn.add(id)
    roots.push(root)
  }
  return roots
}

const idsOf = (member: FamilyMember): string[] => [member.info.session, ...member.forks.flatMap(idsOf)]

/** A line for each session, its forks under it. */
function drawn(root: FamilyMember, cli: Cli, short: Map<string, string>, named?: string): string[] {
  const { out } = cli
  const lines: string[] = []
  const add = ({ info, model, forks }: FamilyMember, first: string, rest: string): void => {
    const id = short.get(info.session) ?? info.session
    const words = [
      out.paint(info.session === named ? 'green' : 'bold', id),
      oneLine(model.name, 40),
      out.paint(STATE[info.state], info.state.replace('_', ' ')),
      count(info.head, 'event'),
      ...(info.title === null ? [] : [out.paint('dim', oneLine(info.title, 60))]),
    ]
    const from = info.parent ? `@${info.parent.seq} ` : info.compactedFrom === null ? '' : 'compacted '
    const branch = from === '' ? '' : out.paint('dim', from)
    lines.push(cut(`${first}${branch}${words.join('  ')}`, Math.max(out.width, first.length + 60)))
    forks.forEach((fork, i) => {
      const last = i === forks.length - 1
      add(fork, `${rest}${last ? '└─ ' : '├─ '}`, `${rest}${last ? '   ' : '│  '}`)
    })
  }
  add(root, '', '')
  return lines
}

function addDiff(program: Command, cli: Cli): void {
  const command = program
    .command('diff')
    .summary('where two sessions part, and what each did since')
    .description('Says which event two sessions share last, and shows what each did after it. With --json: one value.')
    .argument('<a>', 'id, or the beginning of one')
    .argument('<b>', 'id, or the beginning of one')
    .option('--full', 'whole texts, arguments and results')
    .action(async (first: string, second: string, options: { full?: boolean }) => {
      const { out } = cli
      const client = await cli.client()
      const [a, b] = [await cli.find(first), await cli.find(second)]
      const diff = await client.diff(a, b)
      const sides = [
        { name: first, ...diff.a },
        { name: second, ...diff.b },
      ]
      if (out.json) {
        const ofA = await all(upTo(client, a, diff.shared + 1, diff.a.info.head))
        const ofB = await all(upTo(client, b, diff.shared + 1, diff.b.info.head))
        return out.value({ ...diff, a: { ...diff.a, log: ofA }, b: { ...diff.b, log: ofB } })
      }
      out.print(
        diff.ancestor === null
          ? 'They have nothing in common.'
          : `They share ${count(diff.shared, 'event')}, up to ${diff.ancestor}@${diff.shared}.`,
      )
      for (const { name, info, events, definition } of sides) {
        const { model } = await client.definition(definition)
        out.print()
        out.print(
          `${out.paint('bold', info.session)}  ${out.paint('dim', `${oneLine(model.name, 60)} · ${count(events, 'event')} of its own`)}`,
        )
        const timeline = createTimeline({ paint: out.paint, width: out.width, full: options.full, sessionName: name })
        for await (const event of upTo(client, info.session, diff.shared + 1, info.head))
          for (const line of timeline.lines(event)) out.print(line)
      }
    })
  withExamples(command, ['savefile diff 3f8a 9c02', "savefile diff 3f8a 9c02 --json | jq '.shared'"])
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
