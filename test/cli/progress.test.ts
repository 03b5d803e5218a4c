import { plain } from '../../cli/paint'
import { createProgress } from '../../cli/progress'

function told(isTTY: boolean) {
  let text = ''
  let clock = 0
  const stream = { isTTY, columns: 80, write: (chunk: string) => Boolean((text += chunk)) }
  const progress = createProgress(stream, plain, () => clock)
  progress({ what: 'Temporal', state: 'start', detail: 'building' })
  for (let s = 1; s <= 25; s++) {
    clock = s * 1_000
    progress({ what: 'Temporal', state: 'progress', detail: `building, ${s} s` })
  }
  progress({ what: 'Temporal', state: 'done', detail: 'ready' })
  return text
}

test('without a terminal what takes long is told every ten seconds', () => {
  expect(told(false).match(/building.*|ready/g)).toEqual(['building', 'building, 10 s', 'building, 20 s', 'ready'])
})

test('on a terminal it is told every second, in place', () => {
  const text = told(true)
  expect(text.match(/building, \d+ s/g)).toHaveLength(25)
  expect(text.match(/\n/g)).toHaveLength(1)
})
