/** The page: one file that asks for nothing, in which nothing that anybody wrote is markup. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { toHtml } from '../../transcripts/html'
import { escaped, prose } from '../../transcripts/html-text'
import { visible } from '../../transcripts/visible-text'
import { play } from '../contract/driver'
import * as g from '../contract/given'
import {
  BLOBS,
  HOSTILE,
  IMAGE,
  PNG,
  actorOf,
  everything,
  everythingSource,
  hostile,
  sourceOf,
  storedOf,
  textOf,
  textsOf,
} from './support'

const TAGS = new Set(
  'html head meta title style body header h1 h2 dl dt dd nav main section article footer details summary div span p pre code ul li a table tr th td time small figure figcaption img'.split(
    ' ',
  ),
)
const ATTRIBUTES: Readonly<Record<string, RegExp>> = {
  lang: /^en$/,
  charset: /^utf-8$/,
  'http-equiv': /^Content-Security-Policy$/,
  content: /^[^"]*$/,
  name: /^(?:viewport|referrer|robots)$/,
  id: /^[et]\d+$/,
  href: /^#[et]\d+$/,
  class: /^(?:said|code|note|person|agent|tool|system|seq|who|details|good|warn|bad|n|wide|end)$/,
  dir: /^auto$/,
  datetime: /^[\dT:.Z-]+$/,
  alt: /^$/,
  src: /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/,
  open: /^$/,
}
const VOID = new Set(['meta', 'img'])

/** As a browser would take it apart: tags with their attributes, the rest text. Throws at what is not of ours. */
function parsed(html: string): { text: string; tags: Map<string, number> } {
  expect(html.startsWith('<!doctype html>\n')).toBe(true)
  const open: string[] = []
  const tags = new Map<string, number>()
  let text = ''
  let at = '<!doctype html>'.length
  while (at < html.length) {
    const next = html.indexOf('<', at)
    if (next < 0) break
    if (open.at(-1) === 'style') expect(html.startsWith('</style>', next)).toBe(true)
    else text += html.slice(at, next)
    const end = html.indexOf('>', next)
    const tag = /^<(\/?)([a-z0-9]+)((?: [a-z-]+(?:="[^"<>]*")?)*)>$/.exec(html.slice(next, end + 1))
    if (!tag) throw new Error(`no tag of ours: ${html.slice(next, next + 80)}`)
    const [, closing, name = '', rest = ''] = tag
    if (!TAGS.has(name)) throw new Error(`no tag of ours: ${name}`)
    if (closing) expect(open.pop()).toBe(name)
    else {
      tags.set(name, (tags.get(name) ?? 0) + 1)
      if (!VOID.has(name)) open.push(name)
    }
    for (const [, attribute = '', value = ''] of rest.matchAll(/ ([a-z-]+)(?:="([^"]*)")?/g))
      if (!ATTRIBUTES[attribute]?.test(value)) throw new Error(`no attribute of ours: ${attribute}="${value}"`)
    at = end + 1
  }
  expect(open).toEqual([])
  return { text: unescaped(text), tags }
}

function unescaped(text: string): string {
  const bare = text.replace(/&(?!(?:amp|lt|gt|quot|#39);)/g, () => {
    throw new Error('an & that nobody escaped')
  })
  return bare
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
}
const page = (events: Parameters<typeof storedOf>[0][]): Promise<string> =>
  textOf(toHtml(sourceOf(events.map((event) => storedOf(event)))))

test('asks for nothing, runs nothing, and its policy allows its own style and nothing else', async () => {
  const html = await textOf(toHtml(everythingSource()))
  const { tags } = parsed(html)
  expect(tags.has('script')).toBe(false)
  const style = /<style>([^<]*)<\/style>/.exec(html)?.[1] ?? ''
  expect(style).not.toMatch(/url\(|@import|expression/)
  const hash = createHash('sha256').update(style).digest('base64')
  expect(/Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1]).toBe(
    `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'`,
  )
  expect(html).not.toMatch(/https?:\/\/(?!example\.com)/)
})

test('has a table of turns that leads to them, and every event by its number', async () => {
  const html = await textOf(toHtml(everythingSource()))
  for (const turn of [1, 2, 3]) {
    expect(html).toContain(`<a href="#t${turn}">`)
    expect(html).toContain(`<section id="t${turn}">`)
  }
  for (const { seq } of everything()) expect(html).toContain(`<article id="e${seq}"`)
  expect(html).toContain('Please pay the *bills*.')
})

test('holds every text, as it was written, whatever it is', async () => {
  for (const from of HOSTILE.keys()) {
    const events = hostile(everything(), from)
    const { text } = parsed(await page(events))
    for (const said of textsOf(events)) expect(text).toContain(visible(said))
    expect(text).not.toMatch(/[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]/)
  }
})

test('of any legal log it is whole and well-formed', async () => {
  const histories = fc.array(fc.nat(1000), { minLength: 20, maxLength: 200 }).map(play)
  await fc.assert(
    fc.asyncProperty(histories, fc.nat(HOSTILE.length), async (h, from) => {
      const known = h.events.map((event, i) => ({ ...g.after(h.states[i]!, event, h.times[i]), actor: actorOf(event) }))
      const events = hostile(known, from)
      const { text, tags } = parsed(await page(events))
      expect(tags.get('article')).toBe(events.length)
      for (const said of textsOf(events)) expect(text).toContain(visible(said))
    }),
    { numRuns: 60 },
  )
})

test('pictures are within, up to a limit; what is no plain picture, or too large, is named', async () => {
  const html = await textOf(toHtml(everythingSource()))
  expect(html).toContain(`src="data:image/png;base64,${PNG.toString('base64')}"`)
  const of = (mediaType: string, bytes: number): string => {
    const hash = `sha256:${bytes.toString(16).padStart(64, '0')}`
    BLOBS.set(hash, PNG)
    return JSON.stringify({ blocks: [{ type: 'image', blob: { hash, bytes, mediaType } }], delivery: 'queue' })
  }
  const [created, message] = everything().map((event) => storedOf(event))
  for (const payload of [of('image/svg+xml', 68), of('image/png', 5_000_000), of('text/html', 68)])
    expect(await textOf(toHtml(sourceOf([created!, { ...message!, payload }])))).not.toContain('<img')
  const many = Array.from({ length: 12 }, (_, i) => ({ ...message!, seq: i + 2, payload: of('image/png', 4_000_000) }))
  const all = await textOf(toHtml(sourceOf([created!, ...many])))
  expect(all.match(/<img/g)?.length).toBe(8)
  expect(IMAGE.bytes).toBe(PNG.length)
})

test('code between fences looks like code, and nothing of it is lost', () => {
  expect(prose('a\n```js\nb\n```\nc')).toBe(
    '<div class="said" dir="auto">a</div><div class="code" dir="auto">```js\nb\n```</div><div class="said" dir="auto">c</div>',
  )
  expect(prose('~~~\nopen')).toBe('<div class="code" dir="auto">~~~\nopen</div>')
  expect(escaped(`<a href='x' & "y">`)).toBe('&lt;a href=&#39;x&#39; &amp; &quot;y&quot;&gt;')
})

test('erased content says so', async () => {
  const [created, message] = everything().map((event) => storedOf(event))
  const locked = { ...message!, payload: 'sealed:x', kid: 'k', locked: 'key_destroyed' as const }
  const { text } = parsed(
    await textOf(toHtml(sourceOf([created!, locked], { info: { encryption: { kid: 'k', erased: true } } }))),
  )
  expect(text).toContain('Its content was erased: the key is destroyed.')
  expect(text).toContain('erased: the key is destroyed')
  expect(text).not.toContain('sealed')
})
