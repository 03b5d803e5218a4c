/**
 * Templates: `{{source | function | function:argument}}`, filled from the conversation in one pass (what is filled in is never read as a
 * template again). Sources: `last_user`, `first_user`, `step`, `tool_result:I` (since the last answer), `step_result:STEP:I` (of this turn).
 */
import type { Conversation } from './conversation'

const TEMPLATE = /\{\{([^{}]*)\}\}/g
const NOTHING = '(nothing came back)'

type Lines = (text: string, argument: string) => string

const isNote = (line: string): boolean => line.startsWith('[') && line.endsWith(']')
const lines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '')

const FUNCTIONS: Record<string, { argument: 'none' | 'number' | 'text'; run: Lines }> = {
  /** The first N lines that are not blank. */
  first: { argument: 'number', run: (text, n) => lines(text).slice(0, Number(n)).join('\n') },
  /** How many lines are not blank. */
  count: { argument: 'none', run: (text) => String(lines(text).length) },
  chars: { argument: 'number', run: (text, n) => [...text].slice(0, Number(n)).join('') },
  /** Lines that contain, end with, or do not end with the argument. */
  with: {
    argument: 'text',
    run: (text, part) =>
      lines(text)
        .filter((line) => line.includes(part))
        .join('\n'),
  },
  ending: {
    argument: 'text',
    run: (text, part) =>
      lines(text)
        .filter((line) => line.trimEnd().endsWith(part))
        .join('\n'),
  },
  not_ending: {
    argument: 'text',
    run: (text, part) =>
      lines(text)
        .filter((line) => !line.trimEnd().endsWith(part))
        .join('\n'),
  },
  /** Tools close with notes of their own, lines in square brackets: without them, or only they. */
  plain: {
    argument: 'none',
    run: (text) =>
      lines(text)
        .filter((line) => !isNote(line))
        .join('\n'),
  },
  notes: { argument: 'none', run: (text) => lines(text).filter(isNote).join('\n') },
  /** Without the line numbers that read_file puts in front. */
  unnumber: { argument: 'none', run: (text) => text.replace(/^ *\d+\t/gm, '') },
  /** As a Markdown quotation. */
  quote: {
    argument: 'none',
    run: (text) =>
      text
        .split('\n')
        .map((line) => `> ${line}`.trimEnd())
        .join('\n'),
  },
  /** The argument, where there is nothing. */
  or: { argument: 'text', run: (text, other) => (text.trim() === '' ? other : text) },
}

const SOURCE = /^(last_user|first_user|step|tool_result:\d+|step_result:\d+:\d+)$/

/** Says what is wrong with the templates in a text, or null where nothing is. */
export function templateProblem(text: string): string | null {
  for (const [whole, inner = ''] of text.matchAll(TEMPLATE)) {
    const [source = '', ...steps] = inner.split('|')
    if (!SOURCE.test(source.trim()))
      return `${whole}: the source must be last_user, first_user, step, tool_result:I or step_result:STEP:I`
    for (const step of steps) {
      const { name, argument } = parseStep(step)
      const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined
      if (!known) return `${whole}: "${name}" is no function; there are ${Object.keys(FUNCTIONS).join(', ')}`
      if (known.argument === 'none' && argument !== '') return `${whole}: ${name} takes no argument`
      if (known.argument === 'number' && !/^\d+$/.test(argument))
        return `${whole}: ${name} needs a number, as in ${name}:3`
      if (known.argument === 'text' && argument === '')
        return `${whole}: ${name} needs an argument, as in ${name}:README`
    }
  }
  return null
}

/** The text with its templates filled in. `templateProblem` was asked before. */
export function fillText(text: string, conversation: Conversation): string {
  return text.replace(TEMPLATE, (_whole, inner: string) => {
    const [source = '', ...steps] = inner.split('|')
    const found = lookUp(source.trim(), conversation)
    const value = steps
      .map(parseStep)
      .reduce((now, { name, argument }) => FUNCTIONS[name]?.run(now, argument) ?? now, found ?? '')
    return value === '' && found === undefined ? NOTHING : value
  })
}

/** Every string in a JSON value, filled. */
export function fillValue(value: unknown, conversation: Conversation): unknown {
  if (typeof value === 'string') return fillText(value, conversation)
  if (Array.isArray(value)) return value.map((item) => fillValue(item, conversation))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillValue(item, conversation)]))
}

function parseStep(step: string): { name: string; argument: string } {
  const at = step.indexOf(':')
  return at < 0
    ? { name: step.trim(), argument: '' }
    : { name: step.slice(0, at).trim(), argument: step.slice(at + 1).trim() }
}

function lookUp(source: string, c: Conversation): string | undefined {
  const [name, a, b] = source.split(':')
  switch (name) {
    case 'last_user':
      return c.lastUser
    case 'first_user':
      return c.firstUser
    case 'step':
      return String(c.step)
    case 'tool_result':
      return c.results[Number(a)]
    default:
      return c.batches[Number(a)]?.[Number(b)]
  }
}
