/** Ways to spoil a bundle: each must be refused, with the line and the reason. The bundle has two sessions, a blob, and a definition. */

export interface Tampering {
  name: string
  change(lines: string[]): string[] | Buffer
  /** Where it is to be refused, of the lines as they were; null: wherever. */
  line(lines: string[]): number | null
  why: RegExp
}

const find = (lines: readonly string[], part: string): number => {
  const at = lines.findIndex((line) => line.includes(part))
  if (at < 0) throw new Error(`no line with ${part}`)
  return at
}
const nth = (lines: readonly string[], part: string, n: number): number =>
  lines.flatMap((line, i) => (line.includes(part) ? [i] : []))[n] as number
const edit = (lines: string[], at: number, change: (line: string) => string): string[] =>
  lines.map((line, i) => (i === at ? change(line) : line))
const without = (lines: string[], at: number): string[] => lines.filter((_, i) => i !== at)
const swapped = (lines: string[], a: number, b: number): string[] =>
  lines.map((line, i) => (i === a ? lines[b] : i === b ? lines[a] : line) as string)

const EVENT = '{"k":"event"'
const at =
  (part: string, n = 0, plus = 0) =>
  (lines: string[]): number =>
    nth(lines, part, n) + 1 + plus

export const tamperings: Tampering[] = [
  {
    name: 'a payload was changed',
    change: (l) => edit(l, nth(l, EVENT, 1), (line) => line.replace('"go', '"no').replace('\\"go', '\\"no')),
    line: at(EVENT, 1),
    why: /does not give its hash/,
  },
  ...(['"actor":"user:ann"', '"type":"message_received"', '"key":"p:first"'] as const).map((field) => ({
    name: `the field ${field} was changed`,
    change: (l: string[]) => edit(l, nth(l, EVENT, 1), (line) => line.replace(field, field.replace(/.{2}"$/, 'zz"'))),
    line: at(EVENT, 1),
    why: /does not give its hash/,
  })),
  {
    name: 'a version was changed',
    change: (l) => edit(l, nth(l, EVENT, 1), (line) => line.replace('"v":1', '"v":2')),
    line: at(EVENT, 1),
    why: /does not give its hash/,
  },
  {
    name: 'a time was changed',
    change: (l) =>
      edit(l, nth(l, EVENT, 1), (line) =>
        line.replace(/"at":(\d+)(\d),/, (_, most: string, last: string) => `"at":${most}${(Number(last) + 1) % 10},`),
      ),
    line: at(EVENT, 1),
    why: /does not give its hash|older/,
  },
  { name: 'an event is left out', change: (l) => without(l, nth(l, EVENT, 2)), line: at(EVENT, 2), why: /is missing/ },
  {
    name: 'the last event is left out',
    change: (l) => without(l, nth(l, EVENT, 6)),
    line: at(EVENT, 6),
    why: /missing/,
  },
  {
    name: 'two events stand in the wrong order',
    change: (l) => swapped(l, nth(l, EVENT, 2), nth(l, EVENT, 3)),
    line: at(EVENT, 2),
    why: /stands in its place/,
  },
  {
    name: 'an event is there twice',
    change: (l) => [...l.slice(0, nth(l, EVENT, 3)), l[nth(l, EVENT, 2)] as string, ...l.slice(nth(l, EVENT, 3))],
    line: at(EVENT, 2, 1),
    why: /stands in its place/,
  },
  {
    name: 'the sessions stand in the wrong order',
    change: (l) => {
      const s = nth(l, '{"k":"session"', 0)
      const f = nth(l, '{"k":"session"', 1)
      const b = find(l, '{"k":"blob"')
      return [...l.slice(0, s), ...l.slice(f, b), ...l.slice(s, f), ...l.slice(b)]
    },
    line: at('{"k":"session"', 0),
    why: /does not stand before it/,
  },
  {
    name: 'a session is there twice',
    change: (l) => {
      const s = nth(l, '{"k":"session"', 0)
      const f = nth(l, '{"k":"session"', 1)
      return [...l.slice(0, f), ...l.slice(s, f), ...l.slice(f)]
    },
    line: at('{"k":"session"', 1),
    why: /twice/,
  },
  {
    name: 'a definition was changed',
    change: (l) => edit(l, find(l, '{"k":"definition"'), (line) => line.replace('scripted', 'scripter')),
    line: at('{"k":"definition"', 0),
    why: /not what its hash says/,
  },
  {
    name: 'a blob was changed',
    change: (l) => edit(l, nth(l, '{"k":"chunk"', 1), (line) => line.replace('eHh4', 'eHh5')),
    line: at('{"k":"chunk"', 1),
    why: /not what its hash says/,
  },
  {
    name: 'a chunk is left out',
    change: (l) => without(l, nth(l, '{"k":"chunk"', 1)),
    line: at('{"k":"chunk"', 1),
    why: /missing/,
  },
  {
    name: 'a blob is left out',
    change: (l) => l.filter((line) => !/"k":"(blob|chunk)"/.test(line)),
    line: (l) => find(l, '{"k":"blob"') + 1,
    why: /left out or added/,
  },
  {
    name: 'the end says another count',
    change: (l) => edit(l, l.length - 1, (line) => line.replace('"blobs":1', '"blobs":2')),
    line: (l) => l.length,
    why: /left out or added/,
  },
  {
    name: 'a media type, which no event binds, was changed',
    change: (l) => edit(l, find(l, '{"k":"blob"'), (line) => line.replace('text/plain', 'text/other')),
    line: (l) => l.length,
    why: /outside of the events/,
  },
  {
    name: 'another head is announced',
    change: (l) => edit(l, 0, (line) => line.replace('"head":7', '"head":6')),
    line: (l) => l.length,
    why: /announced/,
  },
  { name: 'the end is left out', change: (l) => l.slice(0, -1), line: (l) => l.length, why: /cut/ },
  {
    name: 'the file was cut in a line',
    change: (l) => Buffer.from(l.join('\n')).subarray(0, -20),
    line: (l) => l.length,
    why: /middle of a line/,
  },
  {
    name: 'something follows the end',
    change: (l) => [...l, '{"k":"end"}'],
    line: (l) => l.length + 1,
    why: /after the end/,
  },
  {
    name: 'a line is no JSON',
    change: (l) => edit(l, find(l, '{"k":"blob"'), () => '{"k":"blob",'),
    line: at('{"k":"blob"', 0),
    why: /not JSON/,
  },
  {
    name: 'there is a line of another kind',
    change: (l) => [...l.slice(0, -1), '{"k":"surprise"}', ...l.slice(-1)],
    line: (l) => l.length,
    why: /kind/,
  },
  {
    name: 'the first line is no bundle’s',
    change: (l) => edit(l, 0, () => '{"hello":"world"}'),
    line: () => 1,
    why: /no bundle/,
  },
  { name: 'there is nothing', change: () => Buffer.alloc(0), line: () => null, why: /empty/ },
]
