/** The workflow bundle: built once (by `npm run build`, or once a test run), since building it costs a worker 1 to 2 s at every start. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bundleWorkflowCode, type WorkerOptions, type WorkflowBundleOption } from '@temporalio/worker'

/** An own file beside this one, as source or compiled. */
function own(file: string): string {
  const base = path.join(__dirname, file)
  return existsSync(`${base}.js`) ? `${base}.js` : `${base}.ts`
}

export const FAILURE_CONVERTER = own('failure-converter')
const PREBUILT = path.join(__dirname, 'workflow-bundle.js')

const WORKFLOWS = own('../workflows/index')

/** Evaluated once a worker, not once a run: our modules hold nothing that changes, and a thousand copies of them cost their memory. */
const SHARED = { preloadModules: [WORKFLOWS] }

/** Builds the bundle into a file. */
export async function bundleWorkflows(outFile: string = PREBUILT): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: WORKFLOWS,
    failureConverterPath: FAILURE_CONVERTER,
    ...SHARED,
    logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.error, error: console.error },
  })
  await writeFile(outFile, code)
}

/** The prebuilt bundle where there is one, else the sources, which the worker then bundles itself. */
export function workflowSource(
  prebuilt?: string,
): { workflowBundle: WorkflowBundleOption } | Pick<WorkerOptions, 'workflowsPath' | 'bundlerOptions'> {
  const file = prebuilt ?? PREBUILT
  if (prebuilt !== undefined || existsSync(file)) return { workflowBundle: { codePath: file } }
  return { workflowsPath: WORKFLOWS, bundlerOptions: SHARED }
}
