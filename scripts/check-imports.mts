/**
 * The import law, with a count of the modules it saw: a tool that silently sees nothing passes everything (it needs a TypeScript with a
 * JS API, and says nothing without one).
 */
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { cruise } from 'dependency-cruiser'
import extractConfig from 'dependency-cruiser/config-utl/extract-depcruise-config'
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config'

const ROOTS = [
  'contract',
  'log',
  'providers',
  'tools',
  'transcripts',
  'workflows',
  'activities',
  'workers',
  'client',
  'cli',
  'dev',
  'index.ts',
  'worker.ts',
]

async function main(): Promise<void> {
  const root = path.join(import.meta.dirname, '..')
  process.chdir(root)
  const config = await extractConfig('./.dependency-cruiser.cjs')
  const { output } = await cruise(
    ROOTS,
    { ...config.options, ruleSet: { forbidden: config.forbidden ?? [] }, validate: true },
    {},
    {
      tsConfig: extractTsConfig('./tsconfig.json'),
    },
  )
  if (typeof output === 'string') throw new Error('dependency-cruiser gave text where data was asked for')
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...ROOTS], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file.endsWith('.ts'))
  const seen = new Set(output.modules.map((module) => module.source))
  const unseen = files.filter((file) => !seen.has(file))
  const edges = output.modules.reduce((sum, module) => sum + module.dependencies.length, 0)
  for (const { from, to, rule } of output.summary.violations)
    console.error(`${rule.severity}: ${rule.name}: ${from} -> ${to}`)
  if (unseen.length > 0) console.error(`not seen: ${unseen.join(', ')}`)
  if (edges < files.length)
    console.error(`only ${edges} imports were seen in ${files.length} files: the parser is blind`)
  const bad = output.summary.violations.length > 0 || unseen.length > 0 || edges < files.length
  console.log(`import law: ${files.length} modules, ${edges} imports, ${output.summary.violations.length} violations`)
  process.exitCode = bad ? 1 : 0
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
