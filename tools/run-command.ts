/**
 * run_command: a command of the model's choice, in a child process without credentials (confinement.ts, process.ts). It may do anything, so it
 * is neither read-only nor idempotent: after a crash its outcome is `unknown`. Asks by default.
 */
import { isUtf8 } from 'node:buffer'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { ToolContext } from '../contract/ports'
import { normaliseText } from '../contract/text'
import { Capture, MAX_KEPT_BYTES } from './capture'
import type { Confinement, Host } from './confinement'
import { runProcess, type ProcessEnd } from './process'
import { defineTool, type DefinedTool, type ToolAnswer } from './tool'
import { locate, openFolder } from './work-folder'

const DEFAULT_SECONDS = 120
const MAX_SECONDS = 3_600
/** Linux takes at most 128 KiB for one argument. */
const MAX_COMMAND_BYTES = 120_000
/** What is shown live; the result has more. */
const MAX_LIVE_CHARS = 1_000_000

export interface RunCommandDeps {
  host: Host
  confine(workFolder: string): Promise<Confinement>
}

export function createRunCommand({ host, confine }: RunCommandDeps): DefinedTool {
  const shell = existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh'
  return defineTool({
    name: 'run_command',
    description:
      'Runs a shell command (bash where there is one, else sh) in the work folder and gives back what it wrote, stdout and stderr together, and its exit code. ' +
      'There is no input and no terminal. Processes that it leaves in the background are ended when it ends. HOME is the work folder.',
    input: z.object({
      command: z
        .string()
        .min(1)
        .refine(
          (command) => Buffer.byteLength(command) <= MAX_COMMAND_BYTES,
          `must be at most ${MAX_COMMAND_BYTES} bytes: write a script file and run that`,
        )
        .refine((command) => !command.includes('\0'), 'must not hold a NUL character')
        .describe('For the shell; several lines are allowed'),
      timeoutSeconds: z.int().min(1).max(MAX_SECONDS).default(DEFAULT_SECONDS).describe('It is ended after this long'),
      cwd: z.string().default('.').describe('Folder to run in, relative to the work folder'),
    }),
    readOnly: false,
    idempotent: false,
    approval: 'ask',
    timeoutMs: (MAX_SECONDS + 10) * 1_000,
    local: false,
    async run({ command, timeoutSeconds, cwd }, context) {
      const place = await locate(context.workFolder, cwd)
      await (await openFolder(place)).close()
      const confinement = await confine(place.root)
      const capture = new Capture()
      const live = liveText(context)
      const end = await runProcess({
        argv: [shell, '-c', command],
        cwd: join(place.root, ...place.parts),
        env: environment(host, place.root, context),
        confinement,
        signal: context.signal,
        timeoutMs: timeoutSeconds * 1_000,
        freeBytes: MAX_KEPT_BYTES,
        onBytes(chunk) {
          capture.push(chunk)
          live.push(chunk)
        },
      })
      live.end()
      return answer(end, capture, timeoutSeconds)
    },
  })
}

/** Everything that the command finds in its environment: nothing of the worker's own but where programs are. */
function environment(host: Host, workFolder: string, { call, idempotencyKey }: ToolContext): Record<string, string> {
  return {
    PATH: host.path,
    HOME: workFolder,
    LANG: host.lang,
    TMPDIR: '/tmp',
    TERM: 'dumb',
    SAVEFILE_CALL: call,
    SAVEFILE_IDEMPOTENCY_KEY: idempotencyKey,
  }
}

/** Bytes to live text: characters that are cut between two chunks are put together, what no store can hold is replaced. */
function liveText(context: ToolContext): { push(chunk: Buffer): void; end(): void } {
  const decoder = new TextDecoder()
  let chars = 0
  const show = (text: string): void => {
    if (text === '' || chars >= MAX_LIVE_CHARS) return
    chars += text.length
    context.onOutput(normaliseText(text).text)
    if (chars >= MAX_LIVE_CHARS) context.onOutput('\n[more is not shown live: see the result]\n')
  }
  return {
    push: (chunk) => show(chars < MAX_LIVE_CHARS ? decoder.decode(chunk, { stream: true }) : ''),
    end: () => show(decoder.decode()),
  }
}

function answer(end: ProcessEnd, capture: Capture, seconds: number): ToolAnswer {
  const bytes = capture.bytes()
  const text = capture.total > 0 ? bytes.toString('utf8') : '[no output]'
  const mediaType = isUtf8(bytes) ? 'text/plain; charset=utf-8' : 'application/octet-stream'
  const output = { text, whole: { bytes, mediaType, partial: capture.lost > 0 } }
  if (end.stopped === 'aborted')
    return capture.total > 0 ? { ...output, outcome: 'cancelled' } : { outcome: 'cancelled' }
  if (end.stopped === 'timeout')
    return { ...output, ...failedWith('timeout', `Stopped with its children: it took longer than ${seconds} s.`) }
  if (end.code === null) return { ...output, ...failedWith(`signal_${end.signal}`, `It was ended by ${end.signal}.`) }
  if (end.code !== 0) return { ...output, ...failedWith(`exit_${end.code}`, `Exit code ${end.code}.`) }
  return output
}

function failedWith(code: string, note: string): Pick<ToolAnswer, 'outcome' | 'code' | 'blocks'> {
  return { outcome: 'error', code, blocks: [{ type: 'text', text: `[${note}]` }] }
}
