/** Which tools may be, must be or must not be called, made possible: what a request could not mean is left out and said. */
import type { ModelSpec } from '../contract/definition'
import type { View } from '../contract/provider-port'
import type { Drop } from './content'

export type Choice = { kind: 'auto' | 'required' | 'none' } | { kind: 'tool'; name: string }

/**
 * @param server names and types of the vendor's own tools that go along.
 * @returns undefined where the vendor's own way is meant.
 */
export function choiceOf(
  { toolChoice }: ModelSpec,
  { tools }: Pick<View, 'tools'>,
  server: readonly string[],
  seq: number,
  drop: Drop,
): Choice | undefined {
  if (toolChoice === undefined) return undefined
  if (tools.length + server.length === 0) {
    if (toolChoice !== 'auto' && toolChoice !== 'none') drop(seq, 'tool choice', 'there are no tools to choose from')
    return undefined
  }
  if (typeof toolChoice === 'string') return { kind: toolChoice }
  if (tools.some(({ name }) => name === toolChoice.tool)) return { kind: 'tool', name: toolChoice.tool }
  drop(seq, 'tool choice', `there is no tool named ${toolChoice.tool}`)
  return undefined
}

export function isForced(choice: Choice | undefined): boolean {
  return choice?.kind === 'required' || choice?.kind === 'tool'
}

/** The vendor's own tools, each as its API writes them, and what they are called. */
export function serverTools({ serverTools: all = [] }: ModelSpec): { json: string; name: string }[] {
  return all.map((json) => {
    const { name, type } = JSON.parse(json) as { name?: unknown; type?: unknown }
    return { json, name: [name, type].find((word) => typeof word === 'string') ?? 'a server tool' }
  })
}
