/** Commands that only look: ls, show, tail. */
import type { Command } from 'commander'
import type { Client } from '../../client/types'
import type { SessionInfo } from '../../contract/client-port'
import { sessionAt, withExamples, wholeNumber, type Cli } from '../cli'
import { ago, count } from '../numbers'
import type { Colour } from '../paint'
import { cut, oneLine } from '../safe-text'
import { shortIds } from '../short-ids'
import { watchStalls } from '../stalls'
import { createTimeline } from '../timeline'

type Shown = SessionInfo['state'] | 'inert' | 'stub'
/** Of a session that does not go on here, that is what matters. */
export const shown = (row: SessionInfo): Shown => (row.custody === 'live' ? row.state : row.custody)
export const STATE: Readonly<Record<Shown, Colour>> = {
  idle: 'dim',
  running: 'green',
  waiting_approval: 'yellow',
  waiting_result: 'cyan',
  newer_worker: 'magenta',
  locked: 'magenta',
  closed: 'dim',
  inert: 'dim',
  stub: 'dim',
}
const PAGE = 500

export function addReadCommands(program: Command, cli: Cli): void {
  addLs(program, cli)
  addShow(program, cli)
  addTail(program, cli)
}

function addLs(program: Command, cli: Cli): void {
  const command = program
    .command('ls')
    .summary('list sessions')
    .description('Lists sessions, the last used first.')
    .argument('[prefix]', 'only those whose id begins so')
    .option('-n, --limit <n>', 'how many', '20')
    .action(async (prefix: string | undefined, options: { limit: string }) => {
      const { out } = cli
      const limit = wholeNumber('--limit', options.limit, 1)
      const client = await cli.client()
      const rows = await client.list({ limit, ...(prefix ? { prefix } : {}) })
      if (out.json) return rows.forEach((row) => out.value(row))
      if (rows.length === 0) return out.note('There is no session yet. Begin one: savefile run "..." or savefile chat')
      const short = shortIds(rows.map((row) => row.session))
      const idWidth = Math.max(...[...short.values()].map((id) => id.length))
      for (const row of rows) {
        const words = [
          out.paint('bold', (short.get(row.session) ?? row.session).padEnd(idWidth)),
          out.paint(STATE[shown(row)], shown(row).replace('_', ' ').padEnd(16)),
          count(row.head, 'event').padStart(12),
          out.paint('dim', ago(row.updatedAt / 1000, Date.now()).padStart(11)),
          cut(
            oneLine(row.title ?? '', 60) +
              (row.parent ? out.paint('dim', ` (fork of ${row.parent.session.slice(0, 8)}@${row.parent.seq})`) : ''),
            80,
          ),
        ]
        out.print(words.join('  ').trimEnd())
      }
    })
  withExamples(command, ['savefile ls', 'savefile ls 3f', 'savefile ls --json | jq -r .session'])
}

function addShow(program: Command, cli: Cli): void {
  const command = program
    .command('show')
    .summary('a session and its timeline')
    .description(
      'Shows a session: what it is, every event, and what waits; with @seq as of that event, which is shown whole. With --json: one value with info, approvals and events.',
    )
    .argument('<session[@seq]>', 'id or the beginning of one, and as of which event (default: the last)')
    .option('--full', 'whole texts, arguments and results')
    .action(async (what: string, options: { full?: boolean }) => {
      const { out } = cli
      const { prefix, at } = sessionAt(what)
      const client = await cli.client()
      const session = await cli.find(prefix)
      const now = await client.info(session)
      const info = at === undefined ? now : await client.infoAt(session, at)
      const approvals = await client.approvals(session, at)
      if (out.json) {
        const events = []
        for await (const event of upTo(client, session, 1, info.head)) events.push(event)
        return out.value({ info, approvals, events })
      }
      const definition = await client.definition(info.definition)
      const state =
        at === undefined
          ? out.paint(STATE[shown(info)], shown(info).replace('_', ' '))
          : `as of event ${at} of ${now.head}`
      out.print(
        `${out.paint('bold', session)}  ${state}  ${out.paint('dim', `${definition.model.provider} ${oneLine(definition.model.name, 60)}`)}`,
      )
      out.print()
      const common = { paint: out.paint, width: out.width, sessionName: prefix }
      const timeline = createTimeline({ ...common, full: options.full })
      const whole = createTimeline({ ...common, full: true })
      for await (const event of upTo(client, session, 1, info.head)) {
        const lines = whole.lines(event)
        for (const line of event.seq === at ? lines : timeline.lines(event)) out.print(line)
      }
      if (at === undefined)
        for (const call of approvals) out.note(`\n${call.tool} waits for you: savefile approve ${prefix} ${call.short}`)
      else out.note(out.notePaint('dim', `\ngo on from here: savefile fork ${prefix}@${at}`))
    })
  withExamples(command, [
    'savefile show 3f8a',
    'savefile show 3f8a@14',
    'savefile show 3f8a --full | less -R',
    "savefile show 3f8a --json | jq '.events[-1]'",
  ])
}

/** The events of a range, page by page: memory does not grow with the log. */
export async function* upTo(client: Client, session: string, from: number, to: number) {
  for (let at = from; at <= to; at += PAGE)
    yield* await client.read(session, { from: at, to: Math.min(to, at + PAGE - 1), limit: PAGE })
}

function addTail(program: Command, cli: Cli): void {
  const command = program
    .command('tail')
    .summary('the last events of a session, and with -f those to come')
    .description(
      'Prints the last events of a session; with -f each that comes, until Ctrl-C. With --json: one event a line.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .option('-n, --lines <n>', 'how many events', '20')
    .option('-f, --follow', 'go on with what comes')
    .option('--full', 'whole texts, arguments and results')
    .action(async (prefix: string, options: { lines: string; follow?: boolean; full?: boolean }) => {
      const { out } = cli
      const lines = wholeNumber('--lines', options.lines, 0)
      const client = await cli.client()
      const session = await cli.find(prefix)
      const { head } = await client.info(session)
      const from = Math.max(1, head - lines + 1)
      const timeline = createTimeline({ paint: out.paint, width: out.width, full: options.full, sessionName: prefix })
      const stop = new AbortController()
      const signal = AbortSignal.any([cli.signal, stop.signal])
      const events = options.follow ? client.follow(session, { from, signal }) : upTo(client, session, from, head)
      const stalls =
        options.follow && !out.json
          ? watchStalls(client, session, signal, (text) => out.note(out.paint('yellow', text)))
          : undefined
      try {
        for await (const event of events) {
          if (out.json) out.value(event)
          else for (const line of timeline.lines(event)) out.print(line)
        }
      } finally {
        stop.abort()
        await stalls
      }
    })
  withExamples(command, [
    'savefile tail 3f8a -n 50',
    'savefile tail -f 3f8a',
    'savefile tail -f 3f8a --json | jq -r .type',
  ])
}
