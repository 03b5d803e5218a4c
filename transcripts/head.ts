/** What stands above an exported session: who it is, and what it runs under. */
import type { Definition } from '../contract/definition'
import type { ExportSource } from './exporting'
import { timeText } from './numbers'

export interface Head {
  title: string
  facts: [name: string, value: string][]
  system: string
  tools: string[]
}

export async function headOf({ info, definition }: ExportSource): Promise<Head> {
  const runsUnder = await definition(info.definition)
  const labels = Object.entries(info.labels).map(([name, value]) => `${name}=${value}`)
  const facts: [string, string | null][] = [
    ['session', info.session],
    ['head', `event ${info.head}, ${info.headHash}`],
    ['created', timeText(info.createdAt)],
    ['last event', timeText(info.updatedAt)],
    ['forked from', info.parent && `${info.parent.session} at event ${info.parent.seq}`],
    ['compacted from', info.compactedFrom],
    ['labels', labels.length > 0 ? labels.join(', ') : null],
    ['agent', runsUnder?.name ?? null],
    ['model', runsUnder && modelText(runsUnder)],
    ['encrypted', info.encryption && (info.encryption.erased ? 'erased: the key is destroyed' : 'yes')],
    ['definition', info.definition],
  ]
  return {
    title: info.title ?? runsUnder?.name ?? info.session,
    facts: facts.flatMap(([name, value]) => (value === null ? [] : [[name, value] as [string, string]])),
    system: runsUnder?.system ?? '',
    tools: (runsUnder?.tools ?? []).map(({ name, description }) =>
      description === '' ? name : `${name}: ${description}`,
    ),
  }
}

function modelText({ model, fallbacks }: Definition): string {
  const names = [model, ...(fallbacks?.models ?? [])].map(({ provider, name }) => `${name} (${provider})`)
  return names.join(', then ')
}
