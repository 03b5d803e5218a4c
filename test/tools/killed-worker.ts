/** A process that runs one command under a given confinement, to be killed in the middle of it. */
import { confinementsHere, hostOf } from '../../tools/confinement'
import { createRunCommand } from '../../tools/run-command'
import { newContext } from './context'

async function main(folder: string, kind: string, uid: number, command: string): Promise<void> {
  const host = hostOf(process.env)
  const all = await confinementsHere(host, folder)
  const confinement = all.find((one) => one.kind === kind && (one.user?.uid ?? -1) === uid)
  if (!confinement) throw new Error(`no ${kind} here`)
  const tool = createRunCommand({ host, confine: () => Promise.resolve(confinement) })
  await tool.run(JSON.stringify({ command, timeoutSeconds: 120 }), newContext(folder))
}

void main(process.argv[2]!, process.argv[3]!, Number(process.argv[4]), process.argv[5]!)
