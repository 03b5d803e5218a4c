/**
 * A session as Markdown that can be read as it is and shown anywhere: nothing that anybody wrote can end a block, begin another, or act
 * (markdown-text.ts). Streamed, an event at a time.
 */
import type { Exporter, ExportSource } from './exporting'
import { headOf } from './head'
import { code, fenced, inline, quoted } from './markdown-text'
import { bytesText, timeText } from './numbers'
import { tell, totalsOf, type Entry, type Part, type Told } from './telling'
import type { Turn } from './turns'

export const toMarkdown: Exporter = async function* (source) {
  yield await top(source)
  for await (const told of tell(source)) yield section(told)
}

async function top(source: ExportSource): Promise<string> {
  const { title, facts, system, tools } = await headOf(source)
  const lines = [`# ${inline(title) || 'A session'}`, '', '| | |', '|---|---|']
  for (const [name, value] of facts) lines.push(`| ${name} | ${inline(value)} |`)
  if (system.trim() !== '') lines.push('', '## System prompt', '', fenced(system))
  if (tools.length > 0) lines.push('', '## Tools', '', ...tools.map((tool) => `- ${inline(tool)}`))
  return `${lines.join('\n')}\n\n## Events\n\n`
}

function section(told: Told): string {
  switch (told.kind) {
    case 'turn': {
      const { turn, waited } = told
      const heading = `## Turn ${turn.n} · ${timeText(turn.openedAt)}\n\n`
      return waited ? `${heading}${waitedText(turn)}\n\n` : heading
    }
    case 'turn_end':
      return `Turn ${told.turn.n}: ${totalsOf(told.turn).join(' · ')}\n\n---\n\n`
    case 'entry':
      return `${entryText(told.entry)}\n\n`
  }
}

function waitedText(turn: Turn): string {
  return `By event ${turn.opener}, which waited: ${inline(turn.who)}${turn.about === '' ? '' : `: ${inline(turn.about)}`}`
}

function entryText(entry: Entry): string {
  const words = [inline(entry.who), ...(entry.title === '' ? [] : [inline(entry.title)])]
  const heading = `### ${entry.seq} · ${words.join(' · ')}`
  const under = [timeText(entry.at), ...entry.details.map(inline)].join(' · ')
  return [heading, under, ...entry.parts.map(partText)].join('\n\n')
}

function partText(part: Part): string {
  switch (part.kind) {
    case 'said':
      return quoted(part.text)
    case 'reasoning':
      return `Reasoning:\n\n${quoted(part.text)}`
    case 'call':
      return `→ ${code(part.name)} ${code(part.call)}\n\n${fenced(part.args, 'json')}`
    case 'output':
      return fenced(part.text, part.json ? 'json' : '')
    case 'image':
      return `Image, ${inline(part.blob.mediaType)}, ${bytesText(part.blob.bytes)}: ${code(part.blob.hash)}`
    case 'file': {
      const { blob, name, kept } = part
      const what = [kept ? 'kept in full' : 'file', ...(name === undefined ? [] : [name]), blob.mediaType]
      return `Attached, ${what.map(inline).join(', ')}, ${bytesText(blob.bytes)}: ${code(blob.hash)}`
    }
    case 'note':
      return inline(part.text)
  }
}
