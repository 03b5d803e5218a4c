/** The tools that every worker has. */
import type { ToolSpec } from '../contract/definition'
import { rememberConfinement, type Host } from './confinement'
import { editFile } from './edit-file'
import { listFiles } from './list-files'
import { readFile } from './read-file'
import { createRunCommand } from './run-command'
import { searchFiles } from './search-files'
import type { DefinedTool } from './tool'
import { writeFile } from './write-file'

/** What a worker runs, by name. */
export function builtinTools(host: Host): DefinedTool[] {
  return [
    readFile,
    listFiles,
    searchFiles,
    writeFile,
    editFile,
    createRunCommand({ host, confine: rememberConfinement(host) }),
  ]
}

/** What a definition holds: the same for every worker. */
export function builtinSpecs(): ToolSpec[] {
  return builtinTools({ path: '', home: '', lang: '' }).map((tool) => tool.spec)
}
