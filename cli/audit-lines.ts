/** An entry of an audit as lines of Markdown. */
import type { AuditEntry } from '../client/audit'
import { tokens, usd } from './numbers'
import { oneLine } from './safe-text'

const WIDTH = 300

export function auditLines(entry: AuditEntry): string[] {
  const when = new Date(entry.at / 1000).toISOString()
  const lines = [`- **${entry.seq}** ${when} \`${oneLine(entry.actor, 80)}\` ${oneLine(entry.what, WIDTH)}`]
  const add = (name: string, text: string): void => void lines.push(`  - ${name}: ${text}`)
  const { call, approval, model } = entry
  if (entry.text) add('text', oneLine(entry.text, WIDTH))
  if (call) add('call', `${oneLine(call.tool, 64)}(${oneLine(call.args, WIDTH)}), ${oneLine(call.id, 120)}`)
  if (approval) {
    const { decision, by, scope, note, argsEdited } = approval
    const more = [
      scope === 'session' ? 'for the session' : 'once',
      ...(argsEdited ? ['arguments edited'] : []),
      ...(note ? [oneLine(note, WIDTH)] : []),
    ]
    add(decision === 'allow' ? 'allowed by' : 'denied by', `${oneLine(by, 80)}, ${more.join(', ')}`)
  }
  if (model) {
    const { provider, name, manifest, usage, costUsdMicros, attempts } = model
    const cost = [
      ...(usage ? [`${tokens(usage.input)} tokens in, ${tokens(usage.output)} out`] : []),
      ...(costUsdMicros === undefined ? [] : [usd(costUsdMicros)]),
      ...(attempts > 1 ? [`${attempts} attempts`] : []),
    ]
    const who = [...(provider ? [`${provider} ${oneLine(name ?? '', 80)}`] : []), ...cost].join(', ')
    if (who) add('model', who)
    if (manifest) {
      const before = manifest.prev > 0 ? `the request of answer ${manifest.prev}, that answer, ` : ''
      add(
        'saw',
        `${before}${manifest.saw.length > 0 ? `events ${ranges(manifest.saw)}` : 'nothing new'}; view ${manifest.view}, ${manifest.definition}`,
      )
      for (const { seq, what, why } of manifest.dropped)
        add('dropped', `of event ${seq}: ${oneLine(what, 80)} (${oneLine(why, 120)})`)
      add('request', manifest.requestHash === '' ? 'no hash was kept' : `sha256 ${oneLine(manifest.requestHash, 80)}`)
    }
  }
  return lines
}

/** `2, 5-7`, in the order in which they were sent. */
function ranges(seqs: readonly number[]): string {
  const parts: [number, number][] = []
  for (const seq of seqs) {
    const last = parts.at(-1)
    if (last && seq === last[1] + 1) last[1] = seq
    else parts.push([seq, seq])
  }
  return parts.map(([a, b]) => (a === b ? String(a) : `${a}-${b}`)).join(', ')
}
