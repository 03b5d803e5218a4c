/**
 * The scripted model server: speaks Anthropic's Messages and OpenAI's Responses and Chat Completions over real HTTP and SSE, plays a
 * script, and says wherever it is used that it is one: in a header of every response, in model names and ids, at GET / and in its start line.
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chooseRule, makeAnswer } from './answer'
import { COMPAT, type Compat } from './check-options'
import { readConversation, type Api } from './conversation'
import { makeFaultBook } from './faults'
import { isRecord } from './json'
import { play } from './play'
import { refusal, type Validate } from './refuse'
import { NOWHERE, walkAnthropic, walkResponses } from './replay'
import { writeJournal, type RecordedRequest } from './requests'
import { Fault, loadScript, type FaultInput, type ScriptInput } from './script'
import { chatError } from './wire-chat'
import { answerPart, errorBody, JSON_HEADERS, statusOfFault } from './wires'

export const SCRIPTED_HEADER = 'x-savefile-scripted'

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
  /** Reasoning and ids that this server did not issue count as good: where recorded requests are played. */
  trustReplay?: boolean
  /** Asked for each request that the rules take: what does not fit the vendor's own schema, or null. */
  validate?: Validate
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
      case 'GET /v1/responses':
        // Responses over a WebSocket, which Codex tries first: it goes on over HTTP at once.
        return json(res, 426, chatError(426, 'This scripted model has no WebSockets', null, null))
      case 'POST /v1/responses':
      case 'POST /responses':
        return answer('openai-responses', req, res, raw)
      default: {
        const chat = CHAT_PATH.exec(path)
        const compat = COMPAT.find((known) => known === chat?.[1])
        if (req.method === 'POST' && chat && (compat !== undefined || chat[1] === undefined))
          return answer('openai-chat', req, res, raw, compat)
        return json(res, 404, chatError(404, `${req.method} ${path} is not served by this scripted model`, null, null))
      }
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

  const answer = async (
    api: Api,
    req: IncomingMessage,
    res: ServerResponse,
    raw: Buffer,
    compat: Compat | undefined = script.compat,
  ): Promise<void> => {
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

    const refused = refusal(api, req.headers, raw, body, {
      ...{ compat, bindReplay: script.bindReplay, contextTokens: script.contextTokens, models: script.models },
      ...{ trustReplay: options.trustReplay, validate: options.validate },
    })
    if (refused || !isRecord(body)) {
      options.log?.(`${api} request ${request.n} refused: ${JSON.stringify(refused?.body)}`)
      return json(res, refused?.status ?? 400, refused?.body)
    }
    const { rule, name } = chooseRule(script, c)
    request.rule = name
    const said = makeAnswer(rule.say, c, hash, raw.length, {
      mustReason: api === 'anthropic' && isRecord(body.thinking) && body.thinking.type === 'enabled',
      place: () => placeOf(api, body),
    })
    const fault = faults.next(name, c.key, rule.say.fault)
    request.fault = fault?.kind ?? null
    options.log?.(
      `${api} request ${request.n}: turn ${c.turn}, step ${c.step}, "${name}"${fault ? `, fault ${fault.kind}` : ''}`,
    )
    if (fault?.kind === 'status') return statusFault(res, api, fault)
    if ((fault?.kind === 'error_event' || fault?.kind === 'failed') && !c.stream) {
      const status = statusOfFault(fault)
      return json(
        res,
        status,
        errorBody(api, status, `Scripted fault: ${fault.kind === 'failed' ? fault.code : fault.type}`),
      )
    }
    whole = await play(
      res,
      { ...answerPart(said, c, body), pace: rule.say },
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

/** Chat's address, with or without `/v1`; `/vllm/v1` and the like say which server it is to be. */
const CHAT_PATH = /^(?:\/([a-z][a-z.]*))??(?:\/v1)?\/chat\/completions$/

/** Where the answer's reasoning stands. */
function placeOf(api: Api, body: Record<string, unknown>): typeof NOWHERE {
  if (api === 'openai-chat') return NOWHERE
  return (api === 'anthropic' ? walkAnthropic(body) : walkResponses(body)).end
}

function statusFault(res: ServerResponse, api: Api, fault: Extract<Fault, { kind: 'status' }>): void {
  if (fault.retryAfter !== undefined) res.setHeader('retry-after', String(fault.retryAfter))
  const message = `Scripted fault: status ${fault.status}`
  if (typeof fault.body === 'string') res.writeHead(fault.status, { 'content-type': 'text/plain' }).end(fault.body)
  else json(res, fault.status, fault.body ?? errorBody(api, fault.status, message))
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
