import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { SavefileError } from '../contract/errors'

/**
 * The absolute path of a folder that exists.
 * @throws SavefileError `work_folder_missing`
 */
export async function existingFolder(path: string): Promise<string> {
  const absolute = resolve(path)
  const found = await stat(absolute).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  })
  if (found?.isDirectory()) return absolute
  const what = found ? 'is not a folder' : 'does not exist'
  throw new SavefileError(
    'work_folder_missing',
    `The work folder ${absolute} ${what}. Make it first (mkdir -p ${JSON.stringify(absolute)}), or name another one: the file tools are confined to it.`,
    { workFolder: absolute },
  )
}
