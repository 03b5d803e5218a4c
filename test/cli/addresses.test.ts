import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findAddresses } from '../../client/addresses'
import { chooseModel } from '../../cli/default-definition'

const STACK = {
  state: 'ready',
  databaseUrl: 'postgres://dev@127.0.0.1:1/savefile',
  temporal: { address: '127.0.0.1:2', namespace: 'default' },
  model: { scripted: true, url: 'http://127.0.0.1:3' },
}
/** A project folder with that dev.json, and a folder within it. */
function project(state: unknown): string {
  const home = mkdtempSync(join(tmpdir(), 'savefile-addresses-'))
  mkdirSync(join(home, '.savefile'))
  writeFileSync(join(home, '.savefile', 'dev.json'), typeof state === 'string' ? state : JSON.stringify(state))
  mkdirSync(join(home, 'a', 'b'), { recursive: true })
  return join(home, 'a', 'b')
}
/** No file of the user's own is to count. */
const env = (more: Record<string, string> = {}): Record<string, string> => ({
  TEMPORAL_CONFIG_FILE: '/nonexistent.toml',
  ...more,
})

describe('where the log and Temporal are', () => {
  test('the stack of a folder above, where nothing else is said', () => {
    const found = findAddresses({}, env(), project(STACK))
    expect(found).toMatchObject({
      databaseUrl: STACK.databaseUrl,
      temporal: STACK.temporal,
      from: { database: expect.stringMatching(/dev\.json$/) as string },
    })
  })

  test('the environment before the stack, the caller before the environment', () => {
    const own = env({
      SAVEFILE_DATABASE_URL: 'postgres://env/x',
      TEMPORAL_ADDRESS: 'env:7233',
      TEMPORAL_NAMESPACE: 'n',
      TEMPORAL_API_KEY: 'k',
      SAVEFILE_TASK_QUEUE: 'q',
    })
    const folder = project(STACK)
    expect(findAddresses({}, own, folder)).toMatchObject({
      databaseUrl: 'postgres://env/x',
      temporal: { address: 'env:7233', namespace: 'n', apiKey: 'k', taskQueue: 'q' },
    })
    const given = { databaseUrl: 'postgres://given/x', temporal: { address: 'given:7233' } }
    expect(findAddresses(given, own, folder)).toEqual({ ...given, from: { database: 'given', temporal: 'given' } })
  })

  test("a database of one's own is not mixed with the Temporal of the stack", () => {
    const found = findAddresses({}, env({ SAVEFILE_DATABASE_URL: 'postgres://env/x' }), project(STACK))
    expect(found.temporal).toEqual({ address: 'localhost:7233' })
    const named = env({ SAVEFILE_DATABASE_URL: 'postgres://env/x', TEMPORAL_NAMESPACE: 'ours' })
    expect(findAddresses({}, named, project(STACK)).temporal).toEqual({ address: 'localhost:7233', namespace: 'ours' })
  })

  test('a stack that is stopped, or is just being written, counts as none, and the error says what to do', () => {
    for (const state of [{ state: 'stopped' }, '{"state":"rea'])
      expect(() => findAddresses({}, env(), project(state))).toThrow(/savefile dev.*SAVEFILE_DATABASE_URL/)
  })
})

describe('which model', () => {
  const real = { scripted: false as const, providers: ['openai-chat' as const] }
  test('what is said, else what the stack has, else by the key', () => {
    expect(chooseModel({ model: 'claude-x' }, {})).toEqual({ provider: 'anthropic', name: 'claude-x' })
    expect(chooseModel({ provider: 'openai-chat', model: 'x' }, { ANTHROPIC_API_KEY: 'k' })).toEqual({
      provider: 'openai-chat',
      name: 'x',
    })
    expect(chooseModel({}, { ANTHROPIC_API_KEY: 'k' }, real).provider).toBe('openai-chat')
    expect(chooseModel({}, { ANTHROPIC_API_KEY: 'k' }).provider).toBe('anthropic')
    expect(chooseModel({}, {}, { scripted: true }).name).toBe('scripted')
    // Its newer models take tools on Chat Completions only without thinking; a server of one's own may speak nothing else.
    expect(chooseModel({}, { OPENAI_API_KEY: 'k' }).provider).toBe('openai-responses')
    expect(chooseModel({ model: 'x' }, { OPENAI_API_KEY: 'k', OPENAI_BASE_URL: 'http://x' }).provider).toBe(
      'openai-chat',
    )
  })
  test('says what to do where nothing says which, or there is no such provider', () => {
    expect(() => chooseModel({}, {})).toThrow(/ANTHROPIC_API_KEY/)
    expect(() => chooseModel({ provider: 'other' }, {})).toThrow(/"other".*--provider anthropic/)
    expect(() => chooseModel({}, { OPENAI_BASE_URL: 'http://x' })).toThrow(/--model/)
  })
})
