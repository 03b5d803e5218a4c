/** Scripts that do not validate are refused at start, each with what would be right; templates do what they say. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { readConversation } from '../../dev/scripted-model/conversation'
import { loadScript, type ScriptInput } from '../../dev/scripted-model/script'
import { fillText, fillValue } from '../../dev/scripted-model/template'

const rule = (say: object) => ({ name: 's', rules: [{ say }] }) as ScriptInput

it('takes the example of docs/scripted-model.md, and the demo', () => {
  const docs = readFileSync(path.join(__dirname, '..', '..', 'docs', 'scripted-model.md'), 'utf8')
  const [, example] = /```json\n([\s\S]*?)```/.exec(docs) ?? []
  expect(loadScript(JSON.parse(example ?? '') as ScriptInput).rules).toHaveLength(4)
  expect(loadScript(path.join(__dirname, '..', '..', 'dev', 'scripts', 'demo.json')).name).toBe('demo')
})

it.each<[string, unknown, RegExp]>([
  ['an unknown field', rule({ txt: 'x' }), /rules\.0\.say: .*"txt"/],
  ['an unknown fault', rule({ fault: { kind: 'explode' } }), /rules\.0\.say\.fault/],
  ['a status that is no error', rule({ fault: { kind: 'status', status: 200 } }), /rules\.0\.say\.fault\.status/],
  ['a name that fits no header', { name: 'zwölf', rules: [] }, /name: must be 1 to 100 printable ASCII/],
  [
    'usage that forgets its cache',
    rule({ usage: { input: 1, output: 1, cacheRead: 2 } }),
    /must count the cached tokens/,
  ],
  ['an unknown source', rule({ text: '{{first_tool}}' }), /rules\.0\.say: \{\{first_tool\}\}: the source must be/],
  ['an unknown function', rule({ text: '{{last_user | shout}}' }), /"shout" is no function; there are first, count/],
  ['a function of Object', rule({ text: '{{last_user | constructor}}' }), /"constructor" is no function/],
  [
    'a function without its number',
    rule({ calls: [{ tool: 't', args: { a: ['{{last_user | first}}'] } }] }),
    /first needs a number/,
  ],
  ['a function with too much', rule({ reasoning: '{{last_user | count:3}}' }), /count takes no argument/],
])('refuses %s', (_what, script, message) => {
  expect(() => loadScript(script as ScriptInput)).toThrow(message)
  expect(() => loadScript(script as ScriptInput)).toThrow(expect.objectContaining({ code: 'invalid_input' }) as Error)
})

describe('templates', () => {
  const call = (id: string) => ({ id, type: 'function', function: { name: 't', arguments: '{}' } })
  const c = readConversation('openai-chat', {
    model: 'm',
    messages: [
      { role: 'system', content: 'sys' },
      { role: 'user', content: 'first' },
      { role: 'assistant', content: 'answer' },
      { role: 'user', content: 'last' },
      { role: 'assistant', content: null, tool_calls: [call('a'), call('b')] },
      { role: 'tool', tool_call_id: 'a', content: 'docs/\nREADME.md\n\nsrc/\n[depth 2]' },
      { role: 'tool', tool_call_id: 'b', content: '   1\t# Title\n  12\ttext {{last_user}}' },
      { role: 'assistant', content: null, tool_calls: [call('c')] },
      { role: 'tool', tool_call_id: 'c', content: '' },
    ],
  })

  it.each([
    ['{{last_user}} / {{first_user}} / {{step}}', 'last / first / 2'],
    ['{{step_result:0:0 | count}}', '4'],
    ['{{step_result:0:0 | plain | count}} {{step_result:0:0|notes}}', '3 [depth 2]'],
    ['{{step_result:0:0 | ending:/ | count}} {{step_result:0:0 | plain | not_ending:/}}', '2 README.md'],
    ['{{step_result:0:0 | with:READ | first:1}}', 'README.md'],
    ['{{step_result:0:0 | first:2 | quote}}', '> docs/\n> README.md'],
    ['{{step_result:0:1 | unnumber | first:1 | chars:3}}', '# T'],
    [
      'what came is not a template: {{step_result:0:1 | unnumber}}',
      'what came is not a template: # Title\ntext {{last_user}}',
    ],
    ['[{{tool_result:0}}]', '[]'],
    ['{{tool_result:0 | or:empty}}', 'empty'],
    ['{{tool_result:7}} {{step_result:9:0 | or:none}}', '(nothing came back) none'],
  ])('%j', (template, filled) => expect(fillText(template, c)).toBe(filled))

  it('fills every string of a value, and leaves the rest', () => {
    expect(fillValue({ a: ['{{step}}', 1, null], b: { c: true } }, c)).toEqual({ a: ['2', 1, null], b: { c: true } })
  })

  it('names a conversation by its start: a fork and a longer log have the same key, another start another', () => {
    const key = (...texts: string[]) =>
      readConversation('anthropic', {
        messages: texts.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content })),
      }).key
    expect(key('a', 'b', 'c')).toBe(key('a'))
    expect(key('b')).not.toBe(key('a'))
  })
})
