/** Started with a key in its environment, as a worker is: searches for it from run_command under every confinement. Prints JSON. */
import { confinementsHere, hostOf } from '../../tools/confinement'
import { createRunCommand } from '../../tools/run-command'
import { newContext, textsOf } from './context'

const SEARCH = `
secret=sk-ant-planted
for f in /proc/*/environ /proc/*/task/*/environ; do
  if cat "$f" 2>/dev/null | tr '\\0' '\\n' | grep -q "ANTHROPIC_API_KEY=$secret"; then echo "found in $f"; exit 0; fi
done
echo nothing
`

async function main(folder: string): Promise<void> {
  const host = hostOf(process.env)
  const results: { kind: string; env: string; proc: string; uid: string }[] = []
  for (const confinement of await confinementsHere(host, folder)) {
    const tool = createRunCommand({ host, confine: () => Promise.resolve(confinement) })
    const ask = async (command: string): Promise<string> =>
      textsOf(await tool.run(JSON.stringify({ command }), newContext(folder))).trim()
    results.push({ kind: confinement.kind, env: await ask('env'), proc: await ask(SEARCH), uid: await ask('id -u') })
  }
  process.stdout.write(JSON.stringify(results))
}

void main(process.argv[2]!)
