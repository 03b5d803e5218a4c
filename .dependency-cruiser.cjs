// The import law (docs/architecture.md). scripts/check-imports.ts runs it and fails when fewer modules were seen than there are files.
const FOLDERS = [
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
  'bench',
  'test',
  'examples',
]
/** Which of our folders each folder may import, besides itself. */
const MAY = {
  contract: [],
  log: ['contract'],
  providers: ['contract'],
  tools: ['contract'],
  transcripts: ['contract'],
  workflows: ['contract'],
  activities: ['contract'],
  client: ['contract', 'log', 'transcripts'],
}
const law = Object.entries(MAY).map(([from, may]) => ({
  name: `${from}-imports-only-${['itself', ...may].join('-')}`,
  severity: 'error',
  from: { path: `^${from}/`, ...(from === 'client' ? { pathNot: '^client/connect[.]ts$' } : {}) },
  to: { path: `^(${FOLDERS.filter((f) => f !== from && !may.includes(f)).join('|')})/` },
}))

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...law,
    {
      name: 'connect-wires-the-log-and-the-encoder',
      comment:
        'client.context shows what would be sent: the pure half of the providers, without keys or SDKs (docs/decisions).',
      severity: 'error',
      from: { path: '^client/connect[.]ts$' },
      to: { path: '^(providers/(?!encode[.]ts$)|tools/|workflows/|activities/|workers/|cli/|dev/)' },
    },
    {
      name: 'cli-wires-nothing',
      comment:
        'cli is thin over client; the commands that bring things up (dev, worker, reconcile, doctor) may call what wires them.',
      severity: 'error',
      from: { path: '^cli/', pathNot: '^cli/commands/(dev|worker|reconcile|doctor|migrate-database)' },
      to: { path: '^(log|providers|workflows|activities|workers)/' },
    },
    {
      name: 'nobody-imports-the-edges',
      severity: 'error',
      from: { path: '^(contract|log|providers|tools|transcripts|workflows|activities|client)/' },
      to: { path: '^(workers|cli|dev|bench|test|examples)/' },
    },
    {
      name: 'the-log-does-not-know-temporal',
      severity: 'error',
      from: { path: '^(log|contract|providers|tools|transcripts)/' },
      to: { path: '@temporalio/' },
    },
    {
      name: 'no-vendor-outside-providers',
      severity: 'error',
      from: { pathNot: '^(providers|test|bench|dev)/' },
      to: { path: 'node_modules/(openai|@anthropic-ai)/' },
    },
    {
      name: 'workflows-use-no-node',
      severity: 'error',
      from: { path: '^(workflows|contract)/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
