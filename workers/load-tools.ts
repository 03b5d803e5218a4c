/** Tools of the user's own, from a module of theirs: whatever it exports that is a tool, by itself or in a list. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SavefileError } from '../contract/errors'
import type { Tool } from '../contract/ports'

/**
 * `file` is relative to the working directory; absent or empty: no tools.
 * @throws SavefileError `setup_failed` where it cannot be loaded, or exports no tool.
 */
export async function loadTools(file: string | undefined): Promise<Tool[]> {
  if (!file) return []
  const path = resolve(file)
  let module: Record<string, unknown>
  try {
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SavefileError('setup_failed', `The tools of ${path} cannot be loaded: ${why}`, { file: path }, { cause })
  }
  // A CommonJS module is its own default export, and a list may stand for many.
  const exported = Object.values(module).flatMap((value) => (isTool(value) ? [value] : partsOf(value)))
  const tools = [...new Set(exported.filter(isTool))]
  if (tools.length > 0) return tools
  throw new SavefileError(
    'setup_failed',
    `${path} exports no tool. What would be right: export const myTool = defineTool({ ... }), with defineTool from 'savefile'.`,
    { file: path },
  )
}

function partsOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : []
}

/** By its parts: the module may have another copy of this package. */
function isTool(value: unknown): value is Tool {
  if (typeof value !== 'object' || value === null) return false
  const { name, problem, run } = value as Partial<Record<keyof Tool, unknown>>
  return typeof name === 'string' && typeof problem === 'function' && typeof run === 'function'
}
