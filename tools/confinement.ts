/**
 * What holds a command that a model chose, on this host and for this work folder. Tried, not guessed: each way is run once with a command that
 * checks that it can write the work folder and cannot see this process. In this order, and each first as another user where we are root and
 * that user may write the folder:
 *
 *   bwrap        own process table, everything but the work folder and /tmp read-only, the home folder hidden
 *   namespace    own process table (util-linux's unshare); files as the user may
 *   other_user   only as root: this process cannot be looked into, files as that user may
 *   none         as this process: what is in its environment can be read from /proc
 *
 * The network is the host's in all of them.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, isAbsolute, join, relative } from 'node:path'
import { STACK_FOLDER } from './work-folder'

export type ConfinementKind = 'bwrap' | 'namespace' | 'other_user' | 'none'

/** What commands need to know of the host. Workers make it of their environment, which nothing else reads. */
export interface Host {
  /** PATH: where programs are found, bwrap among them. */
  path: string
  /** The home folder of this process's user: hidden where that can be done. */
  home: string
  lang: string
}

export interface Confinement {
  kind: ConfinementKind
  /** For people: what it holds and what it does not. */
  says: string
  /** Whatever leaves the command's process group ends with it all the same. */
  ownProcessTable: boolean
  /** What stands before the command, and the user that it is started as. */
  prefix: string[]
  user?: { uid: number; gid: number }
}

/** nobody and its group on Linux: the overflow ids, which own nothing. */
const NOBODY = { uid: 65_534, gid: 65_534 }
const TRIAL_MS = 5_000
/** In a table of its own, the first process of /proc is one of the same namespace. $1 our pid namespace, $2 our pid, $3 the work folder, $4 the user id that is meant, $5 whether the process table is to be another. */
const TRIAL = `
[ "$(id -u)" = "$4" ] && [ -w "$3" ] && [ -x "$3" ] || exit 1
mine=$(readlink /proc/self/ns/pid)
if [ "$5" = own ]; then [ "$mine" != "$1" ] && [ "$(readlink /proc/1/ns/pid)" = "$mine" ]; else ! cat "/proc/$2/environ" >/dev/null 2>&1; fi
`

export function hostOf(env: Readonly<Record<string, string | undefined>>): Host {
  return {
    path: env.PATH || '/usr/local/bin:/usr/bin:/bin',
    home: env.HOME || '/nonexistent',
    lang: env.LANG || 'C.UTF-8',
  }
}

/** What would hold a command in this work folder; without one, in a folder that every user may write. For `doctor`. */
export async function detectConfinement(host: Host, workFolder?: string): Promise<Confinement> {
  if (workFolder !== undefined) return firstThatHolds(host, workFolder)
  const folder = await mkdtemp(join(tmpdir(), 'savefile-trial-'))
  try {
    await chmod(folder, 0o777)
    return await firstThatHolds(host, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** detectConfinement, once for each work folder: a trial costs some 20 to 50 ms. */
export function rememberConfinement(host: Host): (workFolder: string) => Promise<Confinement> {
  const known = new Map<string, Promise<Confinement>>()
  return (workFolder) => {
    const had = known.get(workFolder)
    if (had) return had
    if (known.size >= 1_000) known.clear()
    const found = firstThatHolds(host, workFolder)
    known.set(workFolder, found)
    found.catch(() => known.delete(workFolder))
    return found
  }
}

/** All ways that hold here, the best first; `none` is always the last. */
export async function confinementsHere(host: Host, workFolder: string): Promise<Confinement[]> {
  const all: Confinement[] = []
  for await (const one of holding(host, workFolder)) all.push(one)
  return all
}

async function firstThatHolds(host: Host, workFolder: string): Promise<Confinement> {
  for await (const one of holding(host, workFolder)) return one
  return none()
}

async function* holding(host: Host, workFolder: string): AsyncGenerator<Confinement> {
  for (const candidate of candidates(host, workFolder)) {
    if (await holds(candidate, host, workFolder)) yield candidate
  }
  yield none()
}

function none(): Confinement {
  const user = isRoot() ? 'as root, with all its rights' : 'as the user of this worker'
  const says =
    `Nothing confines run_command here: it runs ${user}, and can read the environment of this worker, keys included. ` +
    'It asks before each command; keep it so, or install bubblewrap (apt install bubblewrap).'
  return { kind: 'none', says, ownProcessTable: false, prefix: [] }
}

function* candidates(host: Host, workFolder: string): Generator<Confinement> {
  const users = isRoot() ? [NOBODY, undefined] : [undefined]
  const bwrap = findProgram(host, 'bwrap')
  const unshare = findProgram(host, 'unshare')
  const setpriv = findProgram(host, 'setpriv')
  // The kernel ends what we start when this process dies, also where a hostile command has ended the watcher (process.ts).
  const dieWithUs = setpriv ? [setpriv, '--pdeathsig', 'KILL', '--'] : []
  const asWhom = (user?: { uid: number }): string =>
    user ? 'as user nobody' : isRoot() ? 'as root without its capabilities' : 'as the user of this worker'
  if (bwrap) {
    for (const user of users) {
      const says = `run_command runs in bubblewrap, ${asWhom(user)}: own process table, files read-only but for the work folder and a /tmp of its own, home folder hidden. Not confined: the network, and reading what that user may read.`
      yield {
        kind: 'bwrap',
        says,
        ownProcessTable: true,
        prefix: [...dieWithUs, bwrap, ...bwrapArgs(host, workFolder, user === undefined), '--'],
        user,
      }
    }
  }
  if (unshare && setpriv) {
    for (const user of users) {
      const says = `run_command runs in a process table of its own, ${asWhom(user)}: the environment of this worker cannot be read. Not confined: the network, and whatever files that user may read or write (bubblewrap would make them read-only).`
      const asRoot = isRoot() && !user
      const drop = [
        setpriv,
        '--no-new-privs',
        ...(asRoot ? ['--inh-caps=-all', '--bounding-set=-all'] : []),
        '--pdeathsig',
        'KILL',
        '--',
      ]
      const own = [
        unshare,
        ...(asRoot ? [] : ['--user', '--map-current-user']),
        '--pid',
        '--ipc',
        '--fork',
        '--kill-child',
        '--mount-proc',
        '--',
      ]
      yield { kind: 'namespace', says, ownProcessTable: true, prefix: [...dieWithUs, ...own, ...drop], user }
    }
  }
  if (isRoot()) {
    const says =
      'run_command runs as user nobody: the environment of this worker cannot be read. Not confined: the network, the files that nobody may use, and processes that leave their group (they may outlive the command).'
    yield {
      kind: 'other_user',
      says,
      ownProcessTable: false,
      prefix: setpriv ? [setpriv, '--no-new-privs', '--pdeathsig', 'KILL', '--'] : [],
      user: NOBODY,
    }
  }
}

/** `ownHome`: it runs as the user whose home that is, so programs below it are its programs too. */
function bwrapArgs(host: Host, workFolder: string, ownHome: boolean): string[] {
  const hidden = [host.home, '/run/user']
    .filter((path) => path !== '/' && existsSync(path))
    .flatMap((path) => ['--tmpfs', path])
  const below = host.path.split(delimiter).filter((path) => ownHome && isInside(host.home, path) && existsSync(path))
  const programs = [...new Set(below.map((path) => installOf(host.home, path)))].flatMap((path) => [
    '--ro-bind',
    path,
    path,
  ])
  const own = ['--die-with-parent', '--unshare-pid', '--unshare-ipc', '--cap-drop', 'ALL']
  return [
    ...own,
    '--ro-bind',
    '/',
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--tmpfs',
    '/tmp',
    ...hidden,
    ...programs,
    '--bind',
    workFolder,
    workFolder,
    ...(existsSync(join(workFolder, STACK_FOLDER)) ? ['--tmpfs', join(workFolder, STACK_FOLDER)] : []),
  ]
}

/** What must stay visible for programs under the home folder: of ~/.nvm/versions/node/v20/bin all of v20, but never all of ~ or ~/.local. */
function installOf(home: string, path: string): string {
  const above = dirname(path)
  const depth = relative(home, above).split('/').filter(Boolean).length
  return basename(path) === 'bin' && depth > 1 ? above : path
}

function isInside(folder: string, path: string): boolean {
  const inner = relative(folder, path)
  return isAbsolute(path) && inner !== '' && !inner.startsWith('..')
}

async function holds(candidate: Confinement, host: Host, workFolder: string): Promise<boolean> {
  const uid = candidate.user?.uid ?? process.getuid?.() ?? -1
  const ours = await readlink('/proc/self/ns/pid').catch(() => 'none')
  const table = candidate.ownProcessTable ? 'own' : 'shared'
  const trial = ['/bin/sh', '-c', TRIAL, 'sh', ours, String(process.pid), workFolder, String(uid), table]
  const [file = '', ...args] = [...candidate.prefix, ...trial]
  return new Promise((resolve) => {
    const env = { PATH: host.path, LANG: host.lang }
    const child = spawn(file, args, {
      cwd: workFolder,
      env,
      ...candidate.user,
      stdio: 'ignore',
      timeout: TRIAL_MS,
      killSignal: 'SIGKILL',
    })
    child.on('error', () => resolve(false))
    child.on('exit', (code) => resolve(code === 0))
  })
}

function findProgram(host: Host, name: string): string | undefined {
  return host.path
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}
