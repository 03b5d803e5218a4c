/**
 * A provider's end of the wire: a real HTTP server on loopback that answers as it is told, and keeps what it was sent. `fetch` takes a
 * request for any vendor's host there, so that an adapter behaves as it does with that vendor.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Fetch } from '../../../providers/watched-fetch'

export interface Received {
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export type Reply = (res: ServerResponse) => void | Promise<void>

export interface WireServer {
  url: string
  received: Received[]
  /** What the next requests get, one after the other; the last one stays. */
  replies: Reply[]
  fetch: Fetch
  close(): Promise<void>
}

export async function startWireServer(): Promise<WireServer> {
  const received: Received[] = []
  const replies: Reply[] = []
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      received.push({ path: req.url ?? '', headers: req.headers, body: Buffer.concat(chunks).toString('utf8') })
      const reply = replies.length > 1 ? replies.shift() : replies[0]
      void Promise.resolve(reply?.(res))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    received,
    replies,
    fetch: (to, init) => fetch(url + new URL(to instanceof Request ? to.url : to).pathname, init),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

export function sse(text: string | Buffer, contentType = 'text/event-stream'): Reply {
  return (res) => void res.writeHead(200, { 'content-type': contentType }).end(text)
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return (res) =>
    void res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** So much of the stream, and then the socket is gone. */
export function cut(text: string, at: number): Reply {
  return (res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(text.slice(0, at), () => setImmediate(() => res.socket?.destroy()))
  }
}

/** So much of the stream, and then nothing more. */
export function silence(text: string, at: number): Reply {
  return (res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).write(text.slice(0, at))
}
