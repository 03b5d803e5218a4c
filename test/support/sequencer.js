// The longest files first, so that no core is left with one of them at the end. By the times of the last run where jest has them; a fresh
// clone has none, and goes by this list.
const { default: Sequencer } = require('@jest/test-sequencer')

const LONG = [
  ...['package/package', 'explorer/hold-2', 'explorer/hold-1', 'cli/cli', 'dev/stack', 'faults/temporal-lost'],
  ...['explorer/wrong', 'client/examples', 'faults/postgres-away', 'providers/migration', 'cli/readme', 'dev/postgres'],
  ...[
    'cli/dev',
    'exports/streaming',
    'faults/',
    'e2e/',
    'bundle/crash',
    'cli/sharing',
    'client/ask',
    'transcripts/go-on',
  ],
  ...['transcripts/commands', 'exports/cli', 'transcripts/export', 'cli/keys', 'laws/l6', 'tools/confinement'],
  ...['log/model', 'bundle/reader', 'dev/temporal', 'bundle/adopt', 'client/every-provider', 'cli/'],
]
const rank = ({ path }) => {
  const n = LONG.findIndex((part) => path.includes(`/test/${part}`))
  return n < 0 ? LONG.length : n
}

module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => rank(a) - rank(b))
  }
}
