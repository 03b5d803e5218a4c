// The longest files first, so that no core is left with one of them at the end. By the times of the last run where jest has them; a fresh
// clone has none, and goes by this list.
const { default: Sequencer } = require('@jest/test-sequencer')

const LONG = [
  'explorer/hold-2',
  'package/package',
  'faults/nudges',
  'explorer/wrong',
  'cli/dev',
  'explorer/hold-1',
  'cli/cli',
  'faults/',
  'dev/stack',
  'client/examples',
  'e2e/',
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
