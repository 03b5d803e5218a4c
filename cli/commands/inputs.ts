/** Commands that append: send, approve, interrupt. */
import { text } from 'node:stream/consumers'
import { Option, type Command } from 'commander'
import { shortCall } from '../../client/approvals'
import type { Accepted, Answer } from '../../client/types'
import type { Delivery } from '../../contract/events'
import { withExamples, wholeNumber, type Cli } from '../cli'
import { EXIT } from '../exit-codes'
import { limitWords } from '../limit-words'
import { safeText } from '../safe-text'

export function addInputCommands(program: Command, cli: Cli): void {
  addSend(program, cli)
  addApprove(program, cli)
  addInterrupt(program, cli)
}

/** `-` is what comes on stdin. */
async function contentOf(words: string[]): Promise<string> {
  return words.length === 1 && words[0] === '-' ? text(process.stdin) : words.join(' ')
}

function sayAccepted(cli: Cli, accepted: Accepted, what: string): void {
  if (cli.out.json) return cli.out.value(accepted)
  cli.out.print(`${what} as event ${accepted.seq}${accepted.duplicate ? ' (it was there already)' : ''}`)
  sayUnnudged(cli, accepted)
}

function sayUnnudged(cli: Cli, accepted: Accepted): void {
  if (!accepted.nudged)
    cli.out.note('Temporal could not be told just now. It is in the log, and is handled when Temporal is back.')
}

/** The answer on stdout, and by its reason the exit code. */
export function sayAnswer(cli: Cli, answer: Answer & { key: string }, alreadySeen = false): void {
  const { out } = cli
  if (out.json) out.value(answer)
  else if (!alreadySeen && answer.text !== '') out.print(safeText(answer.text))
  if (answer.reason === 'done' || answer.reason === 'awaiting_input') return
  const why = answer.failure
    ? `: ${answer.failure.class}: ${safeText(answer.failure.message)}`
    : answer.limit
      ? `: ${limitWords(answer.limit)}`
      : ''
  out.note(`The turn ended: ${answer.reason}${why}`)
  cli.exit(answer.reason === 'interrupted' && cli.signal.aborted ? EXIT.interrupted : EXIT.notDone)
}

function addSend(program: Command, cli: Cli): void {
  const command = program
    .command('send')
    .summary('send a message to a session')
    .description(
      'Commits a message to the log, and tells Temporal. With --wait, prints the answer of the turn that handles it.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .argument('<text...>', 'the message; "-" takes it from stdin')
    .addOption(
      new Option(
        '-d, --delivery <how>',
        'queue: after the turn that runs; steer: at its next model call; interrupt: stop it first',
      )
        .choices(['queue', 'steer', 'interrupt'])
        .default('queue'),
    )
    .option('-k, --key <key>', 'idempotency key: the same key and text is the same message')
    .option('-w, --wait', 'wait for the answer; again with the same --key it is the same answer')
    .option('--timeout <seconds>', 'with --wait: give up waiting; the turn goes on')
    .action(
      async (
        prefix: string,
        words: string[],
        options: { delivery: Delivery; key?: string; wait?: boolean; timeout?: string },
      ) => {
        const client = await cli.client()
        const session = await cli.find(prefix)
        const content = await contentOf(words)
        const { delivery, key } = options
        if (!options.wait) return sayAccepted(cli, await client.send(session, content, { delivery, key }), 'sent')
        const timeoutMs =
          options.timeout === undefined ? undefined : wholeNumber('--timeout', options.timeout, 1) * 1000
        const accepted = await client.send(session, content, { delivery, key })
        sayUnnudged(cli, accepted)
        const answer = await client.awaitTurn(session, accepted.seq, {
          signal: cli.signal,
          timeoutMs,
          onApproval: 'return',
        })
        if (answer.waiting === null) return sayAnswer(cli, { ...answer, key: accepted.key })
        if (cli.out.json) cli.out.value({ ...answer, key: accepted.key })
        for (const call of answer.calls)
          cli.out.note(`${call.tool} waits for you: savefile approve ${prefix} ${call.short}`)
        cli.exit(EXIT.notDone)
      },
    )
  withExamples(command, [
    'savefile send 3f8a "and now the tests"',
    'savefile send 3f8a --wait --key question-1 "how many files are there?"',
    'git diff | savefile send 3f8a -',
  ])
}

function addApprove(program: Command, cli: Cli): void {
  const command = program
    .command('approve')
    .summary('answer a call that waits for a person')
    .description('Lets a tool call run, or with --deny not. Without a call: the only one that waits.')
    .argument('<session>', 'id, or the beginning of one')
    .argument('[call]', 'the call, as `savefile show` has it: 12.0')
    .option('--deny', 'it must not run')
    .option('-a, --always', 'also later calls of this tool in this session')
    .option('--args <json>', 'run it with these arguments instead')
    .option('--note <text>', 'with --deny: for the model to read')
    .action(
      async (
        prefix: string,
        call: string | undefined,
        o: { deny?: boolean; always?: boolean; args?: string; note?: string },
      ) => {
        const client = await cli.client()
        const session = await cli.find(prefix)
        const accepted = await client.resolve(session, call, {
          decision: o.deny ? 'deny' : 'allow',
          scope: o.always ? 'session' : 'once',
          args: o.args,
          note: o.note,
        })
        sayAccepted(cli, accepted, `${o.deny ? 'denied' : 'allowed'} ${shortCall(accepted.call)},`)
      },
    )
  withExamples(command, [
    'savefile approve 3f8a 12.0',
    'savefile approve 3f8a --always',
    'savefile approve 3f8a 12.0 --deny --note "use npm test instead"',
  ])
}

function addInterrupt(program: Command, cli: Cli): void {
  const command = program
    .command('interrupt')
    .summary('stop the turn that runs')
    .description(
      'Stops the turn that runs; what it had written is kept. With a text, that is the next message. Says so where nothing was running.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .argument('[text...]', 'the next message')
    .action(async (prefix: string, words: string[]) => {
      const client = await cli.client()
      const session = await cli.find(prefix)
      const accepted = await client.interrupt(session, words.length > 0 ? await contentOf(words) : undefined)
      const what = words.length > 0 ? 'sent' : 'noted'
      sayAccepted(cli, accepted, accepted.stopped === false ? `nothing was running: ${what}` : 'interrupted')
    })
  withExamples(command, ['savefile interrupt 3f8a', 'savefile interrupt 3f8a "not that folder, src"'])
}
