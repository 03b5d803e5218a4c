import { readFileSync } from 'node:fs'
import path from 'node:path'
import { EXIT_MEANING, exitCodeOf } from '../../cli/exit-codes'
import { helpPage } from '../../cli/help-page'
import { ERROR_CODES, SavefileError } from '../../contract/errors'

const docs = (name: string): string => readFileSync(path.join(__dirname, '..', '..', 'docs', name), 'utf8')

test('docs/cli.md is what --help says (npx tsx cli/help-page.ts writes it)', () => {
  expect(docs('cli.md')).toBe(helpPage())
})

test('docs/cli.md has every exit code', () => {
  for (const [code, meaning] of Object.entries(EXIT_MEANING))
    expect(docs('cli.md')).toMatch(new RegExp(`^ +${code} +${meaning.slice(0, 20)}`, 'm'))
})

test('docs/errors.md has every error, with the exit code that the command gives it, and no other', () => {
  const rows = [...docs('errors.md').matchAll(/^\| `(\w+)` \|.*\| (\d+) \|$/gm)].map(([, code, exit]) => [
    code,
    Number(exit),
  ])
  expect(rows).toEqual(ERROR_CODES.map((code) => [code, exitCodeOf(new SavefileError(code, ''))]))
})
