/**
 * The scripted model server: speaks Anthropic's Messages and OpenAI's Chat Completions over real HTTP and SSE, plays a script, and says
 * wherever it is used that it is one: in a header of every response, in model names and ids, at GET / and in its start line.
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chooseRule, makeAnswer } from './answer'
import { anthropicProblem } from './check-anthropic'
import { chatProblem } from './check-chat'
import { hasBadText } from './check-text'
import { readConversation, type Api } from './conversation'
import { makeFaultBook } from './faults'
import { isRecord, type Json } from './json'
import { play, type Part } from './play'
import { writeJournal, type RecordedRequest } from './requests'
import { Fault, loadScript, type FaultInput, type ScriptInput } from './script'
import {
  anthropicError,
  anthropicErrorFrame,
  anthropicFrames,
  anthropicMessage,
  statusOfErrorType,
} from './wire-anthropic'
import { chatCompletion, chatError, chatErrorFrame, chatFrames } from './wire-chat'

export const SCRIPTED_HEADER = 'x-savefile-scripted'
/** What Anthropic takes at most; more is 413. */
const MAX_BODY_BYTES = 32 * 1024 * 1024

export interface ScriptedModelOptions {
  /** A script, or the path of a JSON file with one. */
  script: ScriptInput | string
  /** 0, the default: any free one. */
  port?: number
  host?: string
  log?: (line: string) => void
  /** A file that gets one JSON line per request. */
  journal?: string
  /** False where long runs would fill the memory with bodies. */
  keepBodies?: boolean
}

export interface ScriptedModel {
  /** For Anthropic's SDK as it is; for OpenAI's with `/v1` behind it. */
  url: string
  port: number
  requests: RecordedRequest[]
  /** The next `times` requests meet this fault, whatever their rule says; null ends it. */
  fault(fault: FaultInput | null): void
  close(): Promise<void>
}

/**
 * Starts it, on loopback unless `host` says otherwise.
 * @throws SavefileError `invalid_input` where the script does not validate; the error of `listen` where the port is taken.
 */
export async function startScriptedModel(options: ScriptedModelOptions): Promise<ScriptedModel> {
  const script = loadScript(options.script)
  const faults = makeFaultBook()
  const requests: RecordedRequest[] = []
  const host = options.host ?? '127.0.0.1'
  // A journal that cannot be written is told now, not at the first request.
  if (options.journal !== undefined) appendFileSync(options.journal, '')

  const route = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    res.setHeader(SCRIPTED_HEADER, script.name)
    const path = new URL(req.url ?? '/', 'http://scripted').pathname
    const raw = await readBody(req)
    switch (`${req.method} ${path}`) {
      case 'GET /':
        return json(res, 200, {
          scripted: true,
          script: script.name,
          what: 'A scripted model server: it plays a file, no model is asked.',
        })
      case 'GET /v1/models':
      case 'GET /models':
        return json(res, 200, {
          object: 'list',
          data: [{ id: 'scripted', object: 'model', created: 1_700_000_000, owned_by: 'scripted' }],
        })
      case 'POST /control':
        return control(res, raw)
      case 'POST /v1/messages':
        return answer('anthropic', req, res, raw)
      case 'POST /v1/chat/completions':
      case 'POST /chat/completions':
        return answer('openai-chat', req, res, raw)
      default:
        return json(res, 404, chatError(404, `${req.method} ${path} is not served by this scripted model`, null, null))
    }
  }

  const control = (res: ServerResponse, raw: Buffer): void => {
    const body = parse(raw)
    const asked = isRecord(body) && 'fault' in body ? body.fault : undefined
    const fault = Fault.nullable().safeParse(
      isRecord(asked) && isRecord(body) && body.times !== undefined ? { ...asked, times: body.times } : asked,
    )
    if (!fault.success)
      return json(res, 400, {
        error: `not a fault: ${fault.error.issues.map((issue) => `${issue.path.join('.') || 'fault'}: ${issue.message}`).join('; ')}`,
      })
    faults.set(fault.data)
    json(res, 200, { fault: fault.data })
  }

  const answer = async (api: Api, req: IncomingMessage, res: ServerResponse, raw: Buffer): Promise<void> => {
    const body = parse(raw)
    const hash = createHash('sha256').update(raw).digest('hex')
    const c = readConversation(api, isRecord(body) ? body : {})
    const request: RecordedRequest = {
      n: requests.length + 1,
      at: new Date().toISOString(),
      ...{ api, model: c.model, stream: c.stream, hash, conversation: c.key, turn: c.turn, step: c.step, call: c.call },
      ...{ rule: null, fault: null, status: null, whole: null },
      ...(options.keepBodies === false ? {} : { body }),
    }
    requests.push(request)
    let whole = false
    res.once('close', () => {
      request.whole = whole && res.writableFinished
      request.status = res.headersSent ? res.statusCode : null
      if (options.journal !== undefined) writeJournal(options.journal, request)
    })

    const refused = refusal(api, req, raw, body)
    if (refused) {
      options.log?.(`${api} request ${request.n} refused: ${JSON.stringify(refused.body)}`)
      return json(res, refused.status, refused.body)
    }
    const { rule, name } = chooseRule(script, c)
    request.rule = name
    const said = makeAnswer(rule.say, c, hash, raw.length)
    const fault = faults.next(name, c.key, rule.say.fault)
    request.fault = fault?.kind ?? null
    options.log?.(
      `${api} request ${request.n}: turn ${c.turn}, step ${c.step}, "${name}"${fault ? `, fault ${fault.kind}` : ''}`,
    )
    if (fault?.kind === 'status') return statusFault(res, api, fault)
    if (fault?.kind === 'error_event' && !c.stream) {
      const status = statusOfErrorType(fault.type)
      return json(res, status, errorBody(api, status, `Scripted fault: ${fault.type}`))
    }
    const part = api === 'anthropic' ? anthropicPart(said, c.stream) : chatPart(said, c)
    whole = await play(
      res,
      { ...part, pace: rule.say },
      !c.stream && fault && 'afterDeltas' in fault ? { ...fault, afterDeltas: 0 } : fault,
    )
  }

  const server = createServer((req, res) => {
    route(req, res).catch((error: unknown) => {
      // A client that goes away while it sends is no failure of this server; anything else ends the connection, and is told.
      if (!req.destroyed || req.complete) options.log?.(`scripted model failed: ${String(error)}`)
      res.destroy()
    })
  })
  // Longer than a client keeps an idle connection: a reuse that crosses with our close would look like a cut.
  server.keepAliveTimeout = 600_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  options.log?.(`scripted model at ${url} plays the script "${script.name}": it is not a model`)
  return {
    url,
    port,
    requests,
    fault: (fault) => faults.set(fault && Fault.parse(fault)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** What the vendor would have refused, in its shape. */
function refusal(api: Api, req: IncomingMessage, raw: Buffer, body: unknown): { status: number; body: Json } | null {
  if (raw.length > MAX_BODY_BYTES) return { status: 413, body: errorBody(api, 413, 'Request exceeds the maximum size') }
  if (!isRecord(body)) return { status: 400, body: errorBody(api, 400, 'The request body is not valid JSON') }
  if (hasBadText(raw.toString('utf8'), body))
    return {
      status: 400,
      body: errorBody(api, 400, 'The request body is not valid JSON: NUL or a lone surrogate in a string'),
    }
  if (api === 'anthropic') {
    const version = req.headers['anthropic-version']
    const message = anthropicProblem(body, typeof version === 'string' ? version : '')
    return message === null ? null : { status: 400, body: anthropicError(400, message) }
  }
  const problem = chatProblem(body)
  return problem && { status: 400, body: chatError(400, problem.message, problem.param, problem.code) }
}

function errorBody(api: Api, status: number, message: string): Json {
  return api === 'anthropic' ? anthropicError(status, message) : chatError(status, message)
}

function statusFault(res: ServerResponse, api: Api, fault: Extract<Fault, { kind: 'status' }>): void {
  if (fault.retryAfter !== undefined) res.setHeader('retry-after', String(fault.retryAfter))
  const message = `Scripted fault: status ${fault.status}`
  if (typeof fault.body === 'string') res.writeHead(fault.status, { 'content-type': 'text/plain' }).end(fault.body)
  else json(res, fault.status, fault.body ?? errorBody(api, fault.status, message))
}

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }
const JSON_HEADERS = { 'content-type': 'application/json' }

function anthropicPart(said: ReturnType<typeof makeAnswer>, stream: boolean): Omit<Part, 'pace'> {
  const headers = { ...(stream ? STREAM_HEADERS : JSON_HEADERS), 'request-id': `req_scripted_${said.id}` }
  const frames = stream ? anthropicFrames(said) : halves(anthropicMessage(said))
  return { status: 200, headers, frames, errorFrame: (type) => anthropicErrorFrame(type, `Scripted fault: ${type}`) }
}

function chatPart(
  said: ReturnType<typeof makeAnswer>,
  c: { stream: boolean; includeUsage: boolean },
): Omit<Part, 'pace'> {
  const headers = { ...(c.stream ? STREAM_HEADERS : JSON_HEADERS), 'x-request-id': `req_scripted_${said.id}` }
  const frames = c.stream ? chatFrames(said, c.includeUsage) : halves(chatCompletion(said))
  return { status: 200, headers, frames, errorFrame: (type) => chatErrorFrame(type, `Scripted fault: ${type}`) }
}

/** One JSON body in two pieces, so that a fault finds a middle. */
function halves(body: unknown): Part['frames'] {
  const text = JSON.stringify(body)
  const middle = Math.floor(text.length / 2)
  return [
    { wire: text.slice(0, middle), delta: false },
    { wire: text.slice(middle), delta: true },
  ]
}

function json(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, JSON_HEADERS).end(JSON.stringify(body))
}

async function readBody(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function parse(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
