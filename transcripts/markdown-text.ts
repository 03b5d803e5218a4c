/**
 * Text of others inside Markdown. Prose is a quote, whose marks keep whatever it begins inside it; where it holds anything that could act
 * (HTML, a link, an image, a definition of one, an entity, an alert), it is verbatim in a fence instead. A fence is longer than any inside.
 */
import { visible } from './visible-text'

const ACTS = /<|!\[|\]\(|\]\[|\]:|^ {0,3}\[!|&(?:#|\w+;)/m
const LEAST_FENCE = 3

/** A block of its own, with what it says verbatim. */
export function fenced(text: string, language = ''): string {
  const body = visible(text)
  const fence = '`'.repeat(Math.max(LEAST_FENCE, longestRun(body) + 1))
  return `${fence}${language}\n${body}${body.endsWith('\n') ? '' : '\n'}${fence}`
}

export function quoted(text: string): string {
  const body = visible(text)
  if (ACTS.test(body)) return fenced(text)
  return body
    .replace(/\n+$/, '')
    .split('\n')
    .map((line) => (line === '' ? '>' : `> ${line}`))
    .join('\n')
}

/** Within a line, a heading or a cell: one line, and no character of it is markup. */
export function inline(text: string): string {
  return oneLine(text).replace(/[\\`*_[\]<>#|~&$!]/g, '\\$&')
}

/** A name, as code. */
export function code(text: string): string {
  const body = oneLine(text)
  const ticks = '`'.repeat(longestRun(body) + 1)
  const room = body.startsWith('`') || body.endsWith('`') || body === '' ? ' ' : ''
  return `${ticks}${room}${body}${room}${ticks}`
}

function oneLine(text: string): string {
  return visible(text).replace(/\s+/g, ' ').trim()
}

function longestRun(text: string): number {
  return (text.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 0)
}
