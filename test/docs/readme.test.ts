/** The README is true: its example is the one that is compiled and run, its links lead somewhere, its commands are CI's. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.join(__dirname, '..', '..')
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')
const README = read('README.md')

test('the example is examples/library/main.ts, which another test compiles and runs', () => {
  const [, shown] = /```ts\n([\s\S]*?)```/.exec(README) ?? []
  expect(shown).toBe(read('examples/library/main.ts').replace("'../../index'", "'savefile'"))
})

test('each command that the README shows first is run by CI', () => {
  const commands = [...README.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) =>
    (block ?? '').trim().split('\n'),
  )
  expect(commands).toEqual(['npm ci && npm start', 'npm ci && npm test'])
  const ci = read('.ci/run')
  for (const command of ['npm ci', 'npm start', 'npm test']) expect(ci).toMatch(new RegExp(`^${command}`, 'm'))
})

test.each([
  'README.md',
  'CONTRIBUTING.md',
  ...['architecture', 'guarantees', 'operations', 'cli', 'client', 'protocol', 'sql', 'tools'].map(
    (d) => `docs/${d}.md`,
  ),
])('every link of %s leads to a file', (file) => {
  const links = [...read(file).matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)]
    .map(([, link]) => link ?? '')
    .filter((link) => !/^[a-z]+:/.test(link))
  const dead = links.filter((link) => !existsSync(path.join(ROOT, path.dirname(file), link)))
  expect(dead).toEqual([])
})
