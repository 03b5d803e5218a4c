import fc from 'fast-check'
import { textBlock, textOf } from '../../contract/blocks'
import { callId, modelStep, nameProblem, parseStep, sessionIdFrom, toolStep, workflowId } from '../../contract/ids'
import { cutText, normaliseText } from '../../contract/text'

describe('names', () => {
  it.each(['a', '0', 'a-b_c', 'a'.repeat(64)])('takes %s', (name) => expect(nameProblem('space', name)).toBeNull())
  it.each(['', '-a', '_a', 'A', 'a b', 'a/b', 'é', 'a\n', 'a'.repeat(65)])(
    'refuses %j and says what would be right',
    (name) => {
      expect(nameProblem('session id', name)).toMatch(
        /^session id ".*" must be 1 to 64 of a-z, 0-9, "_" and "-", and begin with/,
      )
    },
  )
  it('makes session ids of 25 characters that are names, and differ where the bytes do', () => {
    const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 })
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const [x, y] = [sessionIdFrom(a), sessionIdFrom(b)]
        expect([x.length, nameProblem('session id', x)]).toEqual([25, null])
        expect(x === y).toBe(Buffer.compare(a, b) === 0)
      }),
    )
  })
  it('names workflows apart by space', () => {
    expect(workflowId({ space: 'default', session: 's' })).toBe('s')
    expect(workflowId({ space: 'acme', session: 's' })).toBe('acme/s')
  })
  it('names steps so that they can be read again', () => {
    expect(parseStep(modelStep(12))).toEqual({ kind: 'model', due: 12 })
    expect(parseStep(toolStep(callId('s', 12, 3)))).toEqual({ kind: 'tool', call: 's:12.3' })
    expect(() => parseStep('tool')).toThrow('not a step key')
  })
})

describe('text that Postgres or a provider cannot hold', () => {
  it.each([
    ['a\0b', 'a\uFFFDb', 1],
    ['\ud800', '\uFFFD', 1],
    ['\udc00x', '\uFFFDx', 1],
    ['\ud83d\ude00', '\ud83d\ude00', 0],
    ['\ud800\ud83d\ude00\udc00', '\uFFFD\ud83d\ude00\uFFFD', 2],
    ['\0\0', '\uFFFD\uFFFD', 2],
    ['', '', 0],
  ])('%j is normalised once', (raw, text, normalised) => expect(normaliseText(raw)).toEqual({ text, normalised }))
  it('is well formed afterwards, of the same length, and nothing else is touched', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('', '\0', '\ud800', '\udfff'), (a, bad) => {
        const raw = a + bad + a
        const { text, normalised } = normaliseText(raw)
        expect(Buffer.from(text, 'utf8').toString('utf8')).toBe(text)
        expect(text).not.toContain('\0')
        expect(text.length).toBe(raw.length)
        expect(normaliseText(text)).toEqual({ text, normalised: 0 })
        expect([...raw].filter((c, i) => c !== [...text][i]).length).toBe(normalised)
      }),
    )
  })
  it('is recorded in the block', () => {
    expect(textBlock('a\0')).toEqual({ type: 'text', text: 'a\uFFFD', normalised: 1 })
    expect(textBlock('a')).toEqual({ type: 'text', text: 'a' })
  })
  it('is cut without leaving half a pair', () => {
    expect([
      cutText('abc', 3),
      cutText('abcd', 3),
      cutText('ab\ud83d\ude00', 3),
      cutText('a\ud83d\ude00', 3),
      cutText('a', 0),
    ]).toEqual(['abc', 'abc', 'ab', 'a\ud83d\ude00', ''])
  })
})

describe('the text of blocks', () => {
  it('is text and refusals, without reasoning, calls and attachments', () => {
    const call = { type: 'tool_call' as const, call: 'c', name: 'n', args: '{}' }
    expect(
      textOf([{ type: 'reasoning', text: 'hm' }, { type: 'text', text: 'a' }, call, { type: 'refusal', text: 'b' }]),
    ).toBe('ab')
  })
})
