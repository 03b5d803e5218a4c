/**
 * `npm start`: the whole thing once, from nothing to a finished piece of work, and then a conversation for whoever sits in front of it.
 *
 *   stack ─▶ session in a work folder of its own ─▶ a report about this repository, shown as it is made ─▶ where to look ─▶ talk, or exit 0
 *
 * Ctrl-C: while the stack starts, it goes on starting by itself; during the turn, it is interrupted and its end is waited for; twice leaves
 * at once. Nothing is lost in any case: the session is in the log, and the stack is in the background.
 */
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { connectFor } from '../cli/cli'
import { chooseModel, defaultDefinition, type ModelChoice } from '../cli/default-definition'
import { EXIT, exitCodeOf, type ExitCode } from '../cli/exit-codes'
import { createOutput } from '../cli/output'
import { createProgress } from '../cli/progress'
import { runTurn } from '../cli/run-turn'
import { talk } from '../cli/talk'
import type { Answer, Client } from '../client/types'
import { sessionIdFrom, workflowId } from '../contract/ids'
import { costHint } from '../providers/prices'
import { packageRoot } from './own-files'
import { ensureStack } from './stack'
import { stackPaths, type ReadyStack } from './stack-state'

const TASK =
  'Look through the files in your work folder with your tools. Then write a short report about them, in Markdown, into REPORT.md: what this project is, how it is built up, and what in it surprised you. Read the file back, and tell me in a few sentences what you found.'
/** What the agent gets to see of this repository: copies, in a folder of its own. */
const SHOWN = ['README.md', 'CONTRIBUTING.md', 'docs', 'contract', 'package.json']
/** What the task uses of a real model, generously. */
const AT_MOST = { input: 300_000, output: 10_000 }

const out = createOutput(process, process.env, false)
const { paint } = out

async function start(signal: AbortSignal, takeSignals: () => void): Promise<ExitCode> {
  const home = packageRoot()
  out.print(paint('bold', 'Savefile') + ': bringing up Postgres, Temporal and a worker. They stay in the background.')
  const stack = await untilAborted(
    ensureStack({ home, onProgress: createProgress(process.stdout, paint), env: process.env }),
    signal,
  )
  if (!stack) {
    out.print(
      '\nThe stack goes on starting in the background. Go on: npm start   Stop it: npm run savefile -- dev stop',
    )
    return EXIT.interrupted
  }
  const model = chooseModel({}, process.env, stack.model)
  out.print()
  out.print(whoAnswers(stack, model))

  const client = await connectFor({ env: process.env, folder: home }, undefined)
  try {
    return await work(client, stack, model, home, signal, takeSignals)
  } finally {
    await client.disconnect()
  }
}

async function work(
  client: Client,
  stack: ReadyStack,
  model: ModelChoice,
  home: string,
  signal: AbortSignal,
  takeSignals: () => void,
): Promise<ExitCode> {
  const session = sessionIdFrom(randomBytes(16))
  const name = session.slice(0, 8)
  const workFolder = path.join(stackPaths(home).folder, 'work', session)
  copyShown(home, workFolder)
  await client.create({
    session,
    definition: defaultDefinition(model),
    workFolder,
    title: 'A report about this repository',
  })
  out.print(`Session ${paint('bold', session)} works in ${path.relative(process.cwd(), workFolder)}`)
  out.print()
  const sent = await client.send(session, TASK)
  const terminal = Boolean(process.stdin.isTTY && process.stdout.isTTY)
  const answer = await runTurn({
    client,
    session,
    sessionName: name,
    seq: sent.seq,
    from: 1,
    paint,
    width: out.width,
    write: (text) => void process.stdout.write(text),
    approvals: terminal ? 'ask' : 'leave',
    signal,
  })
  sayWhereToLook(stack, session, name, workFolder)
  if (signal.aborted) return EXIT.interrupted
  if (!terminal) return endOf(answer)

  out.print(`Go on talking: a line is a message, ${paint('bold', 'Ctrl-D')} leaves.`)
  takeSignals()
  const { head } = await client.info(session)
  return talk({
    client,
    session,
    sessionName: name,
    input: process.stdin,
    output: process.stdout,
    paint,
    from: head + 1,
  })
}

function endOf(answer: Answer | null): ExitCode {
  if (answer?.reason === 'done') return EXIT.ok
  if (answer?.failure) out.note(`${answer.failure.class}: ${answer.failure.message}`)
  return EXIT.notDone
}

function whoAnswers(stack: ReadyStack, model: ModelChoice): string {
  if (stack.model.scripted)
    return `${paint('yellow', 'A script answers, not a model')}: no key of a provider was found (ANTHROPIC_API_KEY, or OPENAI_API_KEY). It costs nothing; all the rest is real.`
  const price = costHint(model.name, AT_MOST)
  return `${paint('yellow', `${model.provider}, model ${model.name}, answers`)}, with your key. ${price}`
}

function copyShown(home: string, workFolder: string): void {
  mkdirSync(workFolder, { recursive: true })
  for (const name of SHOWN) {
    const from = path.join(home, name)
    if (existsSync(from)) cpSync(from, path.join(workFolder, name), { recursive: true })
  }
}

function sayWhereToLook(stack: ReadyStack, session: string, name: string, workFolder: string): void {
  const { uiUrl, namespace } = stack.temporal
  const report = path.join(workFolder, 'REPORT.md')
  const id = encodeURIComponent(workflowId({ space: 'default', session }))
  const command = (what: string): string => paint('cyan', `npm run savefile -- ${what}`)
  const row = (label: string, text: string): void => out.print(`  ${label.padEnd(12)} ${text}`)
  out.print()
  out.print(paint('bold', 'Where to look'))
  row('session', session)
  if (existsSync(report)) row('report', path.relative(process.cwd(), report))
  if (uiUrl) row('Temporal', `${uiUrl}/namespaces/${namespace}/workflows/${id}`)
  row('go on', command(`chat ${name}`))
  row('follow', command(`tail -f ${name}`))
  row('fork', command(`fork ${name}`))
  row('check', command(`verify ${name}`))
  row('stop', command('dev stop'))
  out.print()
}

/** Null where the signal comes first: what was begun goes on elsewhere. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const aborted = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return Promise.race([promise, aborted])
}

const stop = new AbortController()
const onSignal = (): void => {
  if (stop.signal.aborted) process.exit(EXIT.interrupted)
  stop.abort(new Error('stopped'))
}
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal)
const takeSignals = (): void => {
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal)
}

start(stop.signal, takeSignals).then(
  (code) => process.exit(code),
  (error: unknown) => {
    out.error(error)
    process.exit(exitCodeOf(error))
  },
)
