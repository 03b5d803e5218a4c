/** The package entry `savefile/worker`: a worker with tools of your own. Apart from the main entry, since it loads Temporal's native core. */
export { runWorker, type RunWorkerOptions } from './workers/run'
