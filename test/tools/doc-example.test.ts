/** The example of docs/tools.md is the one that is compiled, and its tool does what the page says, over real HTTP. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { orderTea } from '../../examples/own-tools/tools'
import { runTool } from '../../tools/run-tool'
import { newContext, removeFolders, textsOf } from './context'

afterAll(removeFolders)

it.each(['tools.ts', 'worker.ts', 'main.ts'])(
  'docs/tools.md shows examples/own-tools/%s, which another test runs as a process',
  (file) => {
    const source = readFileSync(join(__dirname, '../../examples/own-tools', file), 'utf8')
    const page = readFileSync(join(__dirname, '../../docs/tools.md'), 'utf8')
    const shown = source.replace("'../../index'", "'savefile'").replace("'../../worker'", "'savefile/worker'")
    expect(page).toContain(`\`\`\`ts\n${shown}\`\`\``)
  },
)

it('the example orders once for one key, and its answer is checked', async () => {
  const orders = new Map<string, number>()
  const server = createServer((request, response) => {
    const key = request.headers['idempotency-key'] as string
    if (!orders.has(key)) orders.set(key, orders.size + 1)
    response.end(key === 'broken' ? '{"order":"none"}' : JSON.stringify({ order: orders.get(key) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  process.env['KITCHEN_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const context = newContext()
    const args = '{"kind":"green","cups":3}'
    const first = await runTool(orderTea, orderTea.spec, args, context)
    expect(first).toEqual({ outcome: 'ok', blocks: [{ type: 'structured', json: '{"order":1}' }] })
    expect(await runTool(orderTea, orderTea.spec, args, context)).toEqual(first)
    expect(context.live).toEqual(['ordering 3 cups\n', 'ordering 3 cups\n'])
    expect(orders.size).toBe(1)
    expect(await runTool(orderTea, orderTea.spec, args, { ...context, idempotencyKey: 'broken' })).toMatchObject({
      code: 'invalid_output',
    })
    expect(textsOf(await runTool(orderTea, orderTea.spec, '{"kind":"coffee","cups":0}', context))).toMatch(
      /kind: .*"green"\|"black"[^]*cups: .*>=1/,
    )
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
})
