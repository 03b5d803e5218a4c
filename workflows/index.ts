/** The workflow bundle's entry: every workflow type by its name. */
export { session } from './session'
export { reconcile } from './reconcile'
