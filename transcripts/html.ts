/**
 * A session as one page that needs nothing else: no script, no request, one style sheet that its policy names by hash, pictures within up to a
 * limit. Streamed: once over the log for the table of turns, once for the events, so that memory does not grow with it.
 */
import { createHash } from 'node:crypto'
import type { BlobRef } from '../contract/blocks'
import type { Exporter, ExportSource } from './exporting'
import { headOf } from './head'
import { STYLE } from './html-style'
import { escaped, prose } from './html-text'
import { bytesText, timeText } from './numbers'
import { tell, totalsOf, type Entry, type Part, type Told } from './telling'
import { createTurns, readAll, type Turn } from './turns'
import { firstLine } from './visible-text'

/** One picture, and all of a page. What is larger is named by its hash. */
const IMAGE_BYTES = 4 * 1024 * 1024
const IMAGES_BYTES = 32 * 1024 * 1024
/** What every browser shows as a picture and as nothing else: no SVG. */
const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp']
/** Output of so many lines or characters is seen at once, more on demand. */
const OPEN_LINES = 6
const OPEN_CHARS = 600

export const toHtml: Exporter = async function* (source) {
  yield await top(source)
  yield* tableOfTurns(source)
  yield '<main>\n'
  const pictures = { left: IMAGES_BYTES }
  let inSection = false
  for await (const told of tell(source)) {
    if (told.kind === 'turn' && inSection) yield '</section>\n'
    yield await section(told, source, pictures)
    if (told.kind === 'turn') inSection = true
    if (told.kind === 'turn_end') {
      yield '</section>\n'
      inSection = false
    }
  }
  yield `${inSection ? '</section>\n' : ''}</main>\n${bottom(source)}`
}

function policy(): string {
  const style = createHash('sha256').update(STYLE).digest('base64')
  return `default-src 'none'; style-src 'sha256-${style}'; img-src data:; base-uri 'none'; form-action 'none'`
}

async function top(source: ExportSource): Promise<string> {
  const { title, facts, system, tools } = await headOf(source)
  const list = facts.map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`).join('\n')
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy()}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    '<meta name="robots" content="noindex">',
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    `<header>\n<h1 dir="auto">${escaped(title)}</h1>\n<dl>\n${list}\n</dl>`,
    ...(system.trim() === '' ? [] : [folded('System prompt', `<pre>${guarded(system)}</pre>`)]),
    ...(tools.length === 0
      ? []
      : [folded(`Tools (${tools.length})`, `<ul>${tools.map((tool) => `<li>${escaped(tool)}</li>`).join('')}</ul>`)]),
    '</header>\n',
  ].join('\n')
}

async function* tableOfTurns(source: ExportSource): AsyncGenerator<string> {
  yield '<nav><details open><summary>Turns</summary>\n<div class="wide"><table>\n<tr><th></th><th>at</th><th>who</th><th>about</th><th></th></tr>\n'
  const turns = createTurns()
  for await (const read of readAll(source.events())) {
    const { ended } = turns.push(read)
    if (ended) yield turnRow(ended)
  }
  const open = turns.current()
  yield `${open ? turnRow(open) : ''}</table></div></details></nav>\n`
}

function turnRow(turn: Turn): string {
  const about = turn.about === '' ? '(nothing to read)' : escaped(turn.about)
  const link = `<a href="#t${turn.n}">${turn.n}</a>`
  const cells = [`<td class="n">${link}</td>`, `<td class="n">${timeText(turn.openedAt)}</td>`]
  return `<tr>${cells.join('')}<td>${escaped(turn.who)}</td><td dir="auto">${about}</td><td>${escaped(totalsOf(turn).join(' · '))}</td></tr>\n`
}

async function section(told: Told, source: ExportSource, pictures: { left: number }): Promise<string> {
  switch (told.kind) {
    case 'turn': {
      const { turn, waited } = told
      const by = waited ? ` · by <a href="#e${turn.opener}">event ${turn.opener}</a>, which waited` : ''
      return `<section id="t${turn.n}">\n<h2>Turn ${turn.n} <small>· ${timeText(turn.openedAt)}${by}</small></h2>\n`
    }
    case 'turn_end':
      return `<p class="end">Turn ${told.turn.n}: ${escaped(totalsOf(told.turn).join(' · '))}</p>\n`
    case 'entry':
      return entryHtml(told.entry, source, pictures)
  }
}

async function entryHtml(entry: Entry, source: ExportSource, pictures: { left: number }): Promise<string> {
  const { seq, at, who, role, tone, title, details } = entry
  const heading = [
    `<a class="seq" href="#e${seq}">${seq}</a>`,
    `<span class="who">${escaped(who)}</span>`,
    ...(title === '' ? [] : [`<span${tone === 'plain' ? '' : ` class="${tone}"`}>${escaped(title)}</span>`]),
    ...(details.length === 0 ? [] : [`<span class="details">${escaped(details.join(' · '))}</span>`]),
    `<time datetime="${new Date(at / 1000).toISOString()}">${timeText(at)}</time>`,
  ]
  const parts: string[] = []
  for (const part of entry.parts) parts.push(await partHtml(part, source, pictures))
  return `<article id="e${seq}" class="${role}"><header>${heading.join('')}</header>${parts.join('')}</article>\n`
}

async function partHtml(part: Part, source: ExportSource, pictures: { left: number }): Promise<string> {
  switch (part.kind) {
    case 'said':
      return prose(part.text)
    case 'reasoning':
      return folded('Reasoning', prose(part.text))
    case 'call': {
      const words = `→ <code>${escaped(part.name)}</code> ${escaped(part.call)} <code>${escaped(firstLine(part.args, 90))}</code>`
      return folded(words, `<pre>${guarded(part.args)}</pre>`)
    }
    case 'output':
      return output(part.text)
    case 'image':
      return picture(part.blob, source, pictures)
    case 'file': {
      const words = [part.kept ? 'kept in full' : 'file', ...(part.name === undefined ? [] : [part.name])]
      return named(words.join(' '), part.blob)
    }
    case 'note':
      return `<p class="note">${escaped(part.text)}</p>`
  }
}

function output(text: string): string {
  const lines = text.split('\n').length
  const body = `<pre>${guarded(text)}</pre>`
  if (lines <= OPEN_LINES && text.length <= OPEN_CHARS) return body
  return folded(`<code>${escaped(firstLine(text, 90))}</code> (${lines} lines)`, body)
}

async function picture(blob: BlobRef, source: ExportSource, pictures: { left: number }): Promise<string> {
  const type = IMAGE_TYPES.find((known) => known === blob.mediaType.split(';')[0]?.trim().toLowerCase())
  if (!type || blob.bytes > IMAGE_BYTES || blob.bytes > pictures.left) return named('image', blob)
  const bytes = await source.blob(blob.hash)
  if (!bytes) return named('image, not to be read here', blob)
  pictures.left -= blob.bytes
  const data = Buffer.from(bytes).toString('base64')
  const caption = `${type}, ${bytesText(blob.bytes)}, <code>${blob.hash}</code>`
  return `<figure><img alt="" src="data:${type};base64,${data}"><figcaption>${caption}</figcaption></figure>`
}

function named(what: string, blob: BlobRef): string {
  return `<p class="note">${escaped(what)}, ${escaped(blob.mediaType)}, ${bytesText(blob.bytes)}: <code>${escaped(blob.hash)}</code></p>`
}

function folded(summary: string, body: string): string {
  return `<details><summary>${summary}</summary>${body}</details>`
}

/** Within `pre` the first newline is not shown: one more keeps it. */
function guarded(text: string): string {
  return `\n${escaped(text)}`
}

function bottom({ info }: ExportSource): string {
  return `<footer>Session ${escaped(info.session)} up to event ${info.head}, <code>${escaped(info.headHash)}</code>. Times are UTC. Written by Savefile.</footer>\n</body>\n</html>\n`
}
