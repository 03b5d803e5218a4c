/** Markdown: readable, whole, and nothing in it that breaks out of its block. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { toMarkdown } from '../../transcripts/markdown'
import { code, fenced, inline, quoted } from '../../transcripts/markdown-text'
import { visible } from '../../transcripts/visible-text'
import { play } from '../contract/driver'
import * as g from '../contract/given'
import { HOSTILE, actorOf, everything, everythingSource, hostile, sourceOf, storedOf, textOf, textsOf } from './support'

/** A line outside every block of content is one of ours. */
const OURS =
  /^(?:$|# |## (?:System prompt|Tools|Events|Turn \d+ · )|### \d+ · |\| |\|---\|---\|$|- \w|---$|\d{4}-\d\d-\d\d |→ `|Reasoning:$|Image, |Attached, |Turn \d+: |By event \d+, |(?:title|labels|work folder|definition|origin|why|note|reason|label): |with these arguments instead:$|what had been written:$|not run: |refused:$|text of |brought along by |left out of |\(|Its content |\d+ characters? that )/

/** By CommonMark's rules for the two kinds of block that hold content: fences end with a fence as long, quotes where no mark stands. */
function blocksOf(markdown: string): { content: string[]; stray: string[] } {
  const content: string[] = []
  const stray: string[] = []
  let fence: string | null = null
  let lines: string[] = []
  let quote = false
  const end = (): void => {
    if (lines.length > 0) content.push(lines.join('\n'))
    lines = []
    quote = false
  }
  for (const line of markdown.split('\n')) {
    if (fence !== null) {
      const closes = /^ {0,3}(`+)[ \t]*$/.exec(line)?.[1]
      if (closes && closes.length >= fence.length) {
        end()
        fence = null
      } else lines.push(line)
      continue
    }
    const opens = /^ {0,3}(`{3,})[^`]*$/.exec(line)?.[1]
    const marked = /^> ?(.*)$/.exec(line)
    if (quote && !marked) end()
    if (opens) fence = opens
    else if (marked) {
      lines.push(marked[1] ?? '')
      quote = true
    } else if (!OURS.test(line)) stray.push(line)
  }
  end()
  if (fence !== null) stray.push('a fence that nothing ends')
  return { content, stray }
}

const norm = (text: string): string => visible(text).replace(/\s+/g, ' ').trim()

test('is as it was agreed to look', async () => {
  const golden = path.join(__dirname, 'golden', 'everything.md')
  expect(await textOf(toMarkdown(everythingSource()))).toBe(readFileSync(golden, 'utf8'))
})

test('holds every text of the log, and every line of it stands in its block', async () => {
  const histories = fc.array(fc.nat(1000), { minLength: 20, maxLength: 200 }).map(play)
  await fc.assert(
    fc.asyncProperty(histories, fc.nat(HOSTILE.length), async (h, from) => {
      const known = h.events.map((event, i) => ({ ...g.after(h.states[i]!, event, h.times[i]), actor: actorOf(event) }))
      const events = hostile(known, from)
      const { content, stray } = blocksOf(await textOf(toMarkdown(sourceOf(events.map((e) => storedOf(e))))))
      expect(stray).toEqual([])
      const all = new Set(content.map(norm))
      for (const { payload } of events)
        if ('blocks' in payload)
          for (const block of payload.blocks) if (block.type === 'text') expect(all).toContain(norm(block.text))
    }),
    { numRuns: 60 },
  )
})

test('of a session that uses everything: no text is missing, and none breaks out', async () => {
  for (const from of HOSTILE.keys()) {
    const events = hostile(everything(), from)
    const markdown = await textOf(toMarkdown(sourceOf(events.map((e) => storedOf(e)))))
    const { content, stray } = blocksOf(markdown)
    expect(stray).toEqual([])
    const all = norm(content.join('\n'))
    const rest = markdown
      .split('\n')
      .map((line) => norm(line.replace(/\\(.)/g, '$1')))
      .join('\n')
    for (const text of textsOf(events)) if (!all.includes(norm(text))) expect(rest).toContain(norm(text))
  }
})

test('a fence is longer than any inside', () => {
  expect(fenced('a ```` b', 'json')).toBe('`````json\na ```` b\n`````')
  expect(fenced('x\n')).toBe('```\nx\n```')
})

test('prose is a quote; what could act where it is shown is verbatim in a fence', () => {
  expect(quoted('one\n\ntwo **bold**\n')).toBe('> one\n>\n> two **bold**')
  for (const acts of ['<b>', '![x](y)', '[x](y)', '[x]: y', '[x][y]', '&lt;', '[!NOTE]\nx'])
    expect(quoted(acts)).toMatch(/^```\n/)
  expect(quoted('R&D, a[0], x! [y]')).toBe('> R&D, a[0], x! [y]')
})

test('names stay in their line and are no markup', () => {
  expect(inline('a|b\n# *c* <d> [e](f) `g` \\')).toBe('a\\|b \\# \\*c\\* \\<d\\> \\[e\\](f) \\`g\\` \\\\')
  expect(code('a`b')).toBe('``a`b``')
  expect(code('`')).toBe('`` ` ``')
})

test('what cannot be read says why: no key, erased, a later version', async () => {
  const [created, message, ...rest] = everything().map((event) => storedOf(event))
  const stored = [
    created!,
    { ...message!, payload: 'sealed:x', kid: 'k', locked: 'key_destroyed' as const },
    { ...rest[0]!, payload: 'sealed:y', kid: 'k', locked: 'key_missing' as const },
    { ...rest[1]!, type: 'dreamt', v: 3, payload: '{"of":"# sheep"}' },
  ]
  const markdown = await textOf(toMarkdown(sourceOf(stored)))
  expect(markdown).toContain('Its content was erased: the key is destroyed.')
  expect(markdown).toContain('Its content is encrypted, and the key is not here.')
  expect(markdown).toContain('dreamt, version 3: not known to this version of Savefile')
  expect(markdown).toContain('```\n{"of":"# sheep"}\n```')
  expect(markdown).not.toContain('sealed:')
})
