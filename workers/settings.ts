/**
 * What the environment says: the only place that reads it for a worker, with providers.ts.
 */
import type { Addresses } from '../client/addresses'
import { DEFAULT_TASK_QUEUE, type Profile } from '../contract/activities'
import { SavefileError } from '../contract/errors'
import type { Tool } from '../contract/ports'
import type { Provider } from '../contract/provider-port'
import { PROFILES, RECONCILE } from '../contract/timing'
import { takeKeySource, type KeySource } from '../log/keyring'
import { readQueueKeys, type QueueKeys } from '../log/queue-key'
import { createPrices, readPrices, type PriceList } from '../providers/prices'
import { builtinTools } from '../tools/builtin'
import { hostOf } from '../tools/confinement'
import { takeProviders } from './providers'

export interface WorkerSettings {
  databaseUrl: string
  temporal: { address: string; namespace: string; options: Record<string, unknown> }
  taskQueue: string
  /** Serves calls of tools of this queue, and advances no session. */
  toolsOnly: boolean
  /** Of the host of a queue: what opens its calls of encrypted sessions. */
  queueKeys?: QueueKeys
  profileName: 'default' | 'fast'
  profile: Profile
  providers: ReadonlyMap<string, Provider>
  prices: PriceList
  /** Where the owner's keys are; null: encrypted sessions are left alone. */
  keys: KeySource | null
  /** By name: the built-in ones, and the user's own. */
  tools: ReadonlyMap<string, Tool>
  name?: string
  workflowBundle?: string
  /** An executor that was not heard of for so long is taken for dead. */
  ttlMs: number
  reconcileEveryMs: number
  maxSteps: number
  maxWorkflows: number
  maxConnections: number
}

type Environment = Record<string, string | undefined>

/** @throws SavefileError `setup_failed` that says which variable, or which tool, is wrong. */
export function readSettings(
  env: Environment,
  { databaseUrl, temporal }: Addresses,
  own: { tools: readonly Tool[]; toolQueue?: string | undefined; queueKey?: string | undefined },
): WorkerSettings {
  const profileName = env.SAVEFILE_PROFILE ?? 'default'
  if (profileName !== 'default' && profileName !== 'fast')
    throw new SavefileError(
      'setup_failed',
      `SAVEFILE_PROFILE is ${JSON.stringify(profileName)}; it must be "default" or "fast".`,
    )
  const { taskQueue, namespace = 'default', ...options } = temporal
  const overrides = env.SAVEFILE_PROFILE_JSON ? (JSON.parse(env.SAVEFILE_PROFILE_JSON) as Partial<Profile>) : {}
  return {
    databaseUrl,
    temporal: { address: options.address, namespace, options },
    taskQueue: own.toolQueue ?? taskQueue ?? DEFAULT_TASK_QUEUE,
    toolsOnly: own.toolQueue !== undefined,
    ...queueKeysFrom(own.queueKey ?? env.SAVEFILE_QUEUE_KEY_FILE),
    profileName,
    profile: { ...PROFILES[profileName], ...overrides },
    providers: takeProviders(env),
    prices: createPrices(env.SAVEFILE_PRICES ? readPrices(env.SAVEFILE_PRICES) : {}),
    keys: takeKeySource(env),
    tools: toolsByName([...builtinTools(hostOf(env)), ...own.tools]),
    ...(env.SAVEFILE_WORKER_NAME ? { name: env.SAVEFILE_WORKER_NAME } : {}),
    ...(env.SAVEFILE_WORKFLOW_BUNDLE ? { workflowBundle: env.SAVEFILE_WORKFLOW_BUNDLE } : {}),
    ttlMs: positive(env, 'SAVEFILE_TTL_MS', profileName === 'fast' ? 2_500 : 15_000),
    reconcileEveryMs: positive(env, 'SAVEFILE_RECONCILE_MS', RECONCILE.everyMs),
    maxSteps: positive(env, 'SAVEFILE_MAX_STEPS', 1000),
    maxWorkflows: positive(env, 'SAVEFILE_MAX_WORKFLOWS', 2000),
    maxConnections: positive(env, 'SAVEFILE_MAX_CONNECTIONS', 10),
  }
}

function queueKeysFrom(file: string | undefined): { queueKeys?: QueueKeys } {
  return file === undefined || file === '' ? {} : { queueKeys: readQueueKeys(file) }
}

function toolsByName(tools: readonly Tool[]): Map<string, Tool> {
  const byName = new Map<string, Tool>()
  for (const tool of tools) {
    if (byName.has(tool.name))
      throw new SavefileError(
        'setup_failed',
        `Two tools are called ${JSON.stringify(tool.name)}: give your own another name than the built-in ones have, and each its own.`,
      )
    byName.set(tool.name, tool)
  }
  return byName
}

function positive(env: Environment, name: string, fallback: number): number {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1)
    throw new SavefileError('setup_failed', `${name} is ${JSON.stringify(text)}; it must be a whole number from 1.`)
  return n
}
