/** The checks of `savefile doctor`. */
import type { Client as TemporalClient } from '@temporalio/client'
import { findAddresses, type Addresses } from '../../client/addresses'
import { lazyTemporal } from '../../client/temporal'
import { DEFAULT_TASK_QUEUE } from '../../contract/activities'
import { SavefileError, errorCode } from '../../contract/errors'
import { findPrograms } from '../../dev/postgres-binaries'
import { isRunning, readStack } from '../../dev/stack-state'
import { buildPlan } from '../../dev/temporal-build'
import { cachedDownload } from '../../dev/temporal-download'
import { SEARCH_ATTRIBUTES } from '../../dev/temporal-server'
import { openKeyring, takeKeySource } from '../../log/keyring'
import { checkSchema } from '../../log/migrate'
import { createPool, query } from '../../log/pool'
import { detectConfinement, hostOf } from '../../tools/confinement'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ago } from '../numbers'
import { homeOf } from './dev'

export interface Check {
  name: string
  status: 'ok' | 'note' | 'warn' | 'missing'
  says: string
  /** What to do about it. */
  todo?: string
}

type Environment = Record<string, string | undefined>

const NODE = [20, 19] as const
const DEADLINE_MS = 3_000
/** Temporal's own numbers (temporal.api.enums.v1.TaskQueueType). */
const WORKFLOW_QUEUE = 1

export async function* runChecks(env: Environment, folder: string): AsyncGenerator<Check> {
  yield node()
  yield stack(folder)
  let addresses: Addresses | null = null
  try {
    addresses = findAddresses({}, env, folder)
  } catch (error) {
    if (errorCode(error) !== 'setup_failed') throw error
    yield {
      name: 'addresses',
      status: 'missing',
      says: 'nothing says where the log is',
      todo: (error as Error).message,
    }
  }
  if (addresses) {
    const { from } = addresses
    yield { name: 'addresses', status: 'note', says: `log: ${from.database}; Temporal: ${from.temporal}` }
    yield* postgres(addresses.databaseUrl)
    yield* temporal(addresses)
  }
  yield keys(env)
  yield await ownerKey(env)
  yield await confinement(env)
  yield embeddedPostgres()
  yield temporalProgram(env)
}

function node(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const enough = major > NODE[0] || (major === NODE[0] && minor >= NODE[1])
  const todo = enough ? {} : { todo: `Install Node ${NODE.join('.')} or newer.` }
  return { name: 'Node', status: enough ? 'ok' : 'missing', says: process.versions.node, ...todo }
}

function stack(folder: string): Check {
  const home = homeOf(folder)
  const state = readStack(home)
  const name = 'dev stack'
  if (!state) return { name, status: 'note', says: `none in ${home}; savefile dev brings one up` }
  if (state.state === 'stopped') return { name, status: 'note', says: `stopped, in ${home}; savefile dev starts it` }
  if (isRunning(state))
    return {
      name,
      status: state.state === 'ready' ? 'ok' : 'note',
      says: `${state.state} in ${home} (process ${state.supervisor.pid})`,
    }
  return {
    name,
    status: 'warn',
    says: `in ${home}: its supervisor was killed`,
    todo: 'savefile dev starts it again, savefile dev stop clears what it left.',
  }
}

async function* postgres(databaseUrl: string): AsyncGenerator<Check> {
  const pool = createPool(databaseUrl, { max: 1 })
  try {
    const [row] = await query<{ version: string; me: string; writer: boolean | null; superuser: boolean }>(
      pool,
      `select current_setting('server_version') as version, current_user as me,
         (select pg_has_role(current_user, oid, 'MEMBER') from pg_roles where rolname = 'savefile_writer') as writer,
         (select rolsuper from pg_roles where rolname = current_user) as superuser`,
      [],
    )
    if (!row) return
    const enough = Number.parseInt(row.version, 10) >= 15
    yield {
      name: 'Postgres',
      status: enough ? 'ok' : 'missing',
      says: row.version,
      ...(enough ? {} : { todo: 'Use Postgres 15 or newer.' }),
    }
    await checkSchema(pool)
    yield { name: 'schema', status: 'ok', says: 'as this version needs it' }
    if (row.superuser)
      yield {
        name: 'role',
        status: 'warn',
        says: `${row.me} is a superuser: nothing holds it back from changing a log`,
        todo: 'Connect as a login in the group savefile_writer.',
      }
    else if (row.writer) yield { name: 'role', status: 'ok', says: `${row.me}, in the group savefile_writer` }
    else
      yield {
        name: 'role',
        status: 'missing',
        says: `${row.me} may not append`,
        todo: `As an administrator: GRANT savefile_writer TO ${JSON.stringify(row.me)}`,
      }
  } catch (error) {
    if (!(error instanceof SavefileError)) throw error
    yield {
      name: error.code === 'database_unreachable' ? 'Postgres' : 'schema',
      status: 'missing',
      says: error.code,
      todo: error.message,
    }
  } finally {
    await pool.end()
  }
}

async function* temporal({ temporal: settings }: Addresses): AsyncGenerator<Check> {
  const client = lazyTemporal(settings)
  const { namespace } = client.options
  const soon = <T>(run: () => Promise<T>): Promise<T> => client.connection.withDeadline(Date.now() + DEADLINE_MS, run)
  try {
    const { serverVersion } = await soon(() => client.workflowService.getSystemInfo({}))
    yield { name: 'Temporal', status: 'ok', says: `${settings.address}, server ${serverVersion ?? '?'}` }
    await soon(() => client.workflowService.describeNamespace({ namespace }))
    yield { name: 'namespace', status: 'ok', says: namespace }
    yield await soon(() => attributes(client, namespace))
    yield await soon(() => workers(client, namespace, settings.taskQueue ?? DEFAULT_TASK_QUEUE))
  } catch (error) {
    const says = error instanceof Error ? error.message : String(error)
    const todo = `Inputs are accepted meanwhile. Start Temporal, or set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE (now ${settings.address}, ${namespace}).`
    yield { name: 'Temporal', status: 'missing', says, todo }
  } finally {
    await client.connection.close()
  }
}

async function attributes(client: TemporalClient, namespace: string): Promise<Check> {
  const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace })
  const missing = Object.keys(SEARCH_ATTRIBUTES).filter((name) => !(name in (customAttributes ?? {})))
  if (missing.length === 0)
    return { name: 'search attributes', status: 'ok', says: Object.keys(SEARCH_ATTRIBUTES).join(', ') }
  const todo = 'A worker makes them where it may; without them sessions work, and lists in the UI have fewer columns.'
  return { name: 'search attributes', status: 'warn', says: `not there: ${missing.join(', ')}`, todo }
}

async function workers(client: TemporalClient, namespace: string, taskQueue: string): Promise<Check> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: WORKFLOW_QUEUE,
  })
  const seen = (pollers ?? []).map((p) => Number(p.lastAccessTime?.seconds ?? 0) * 1000)
  if (seen.length === 0)
    return {
      name: 'workers',
      status: 'missing',
      says: `none takes work from the task queue ${taskQueue}`,
      todo: 'Start one: savefile worker (or savefile dev).',
    }
  return {
    name: 'workers',
    status: 'ok',
    says: `${seen.length} on the task queue ${taskQueue}, last heard of ${ago(Math.max(...seen), Date.now())}`,
  }
}

function keys(env: Environment): Check {
  const found = ['ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'OPENAI_BASE_URL'].filter((name) => env[name])
  if (found.length > 0)
    return {
      name: 'provider keys',
      status: 'ok',
      says: `${found.join(', ')} set here (workers need them where they run)`,
    }
  const says = 'none set here: a development stack answers with a script'
  return {
    name: 'provider keys',
    status: 'note',
    says,
    todo: 'For a real model set ANTHROPIC_API_KEY, or OPENAI_API_KEY (and OPENAI_BASE_URL), where the worker runs.',
  }
}

async function ownerKey(env: Environment): Promise<Check> {
  const name = 'owner key'
  try {
    const keyring = await openKeyring(takeKeySource({ ...env }))
    if (keyring) return { name, status: 'ok', says: `${keyring.owner}: encrypted sessions can be made and read here` }
    const todo = 'For sessions that can be erased: savefile key new > key-file, and SAVEFILE_KEY_FILE.'
    return { name, status: 'note', says: 'none set here: sessions are in clear', todo }
  } catch (error) {
    if (errorCode(error) !== 'setup_failed') throw error
    return { name, status: 'missing', says: 'set, and cannot be used', todo: (error as Error).message }
  }
}

async function confinement(env: Environment): Promise<Check> {
  const { kind, says } = await detectConfinement(hostOf(env))
  return { name: 'confinement', status: kind === 'none' ? 'warn' : 'ok', says: `${kind}: ${says}` }
}

function embeddedPostgres(): Check {
  try {
    return { name: 'own Postgres', status: 'ok', says: findPrograms().postgres }
  } catch (error) {
    if (!(error instanceof SavefileError)) throw error
    return { name: 'own Postgres', status: 'warn', says: 'savefile dev cannot bring one', todo: error.message }
  }
}

/** In the order of dev/temporal.ts, without downloading or building. */
function temporalProgram(env: Environment): Check {
  const onPath = (env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'temporal'))
    .find((path) => existsSync(path))
  const built = buildPlan(env as NodeJS.ProcessEnv).target
  const program = onPath ?? cachedDownload(env as NodeJS.ProcessEnv) ?? (existsSync(built) ? built : null)
  if (program) return { name: 'own Temporal', status: 'ok', says: program }
  return {
    name: 'own Temporal',
    status: 'note',
    says: 'not here yet: the first savefile dev downloads it, or builds it with Go (some minutes)',
  }
}
