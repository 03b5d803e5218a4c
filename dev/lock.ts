/** A lock that one process holds until it ends: a file with its pid and start time. That of a dead process is taken over. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, processId, type ProcessId } from './processes'

export type Locked = { held: true; release(): void } | { held: false; by: ProcessId }

export async function takeLock(file: string): Promise<Locked> {
  const me = processId(process.pid)
  if (!me) throw new Error('this process has no start time')
  const mine = JSON.stringify(me)
  for (;;) {
    if (!createWith(file, mine)) {
      const holder = lockHolder(file)
      if (holder) return { held: false, by: holder }
      moveAway(file)
      continue
    }
    // Somebody who took the dead holder's file for what is ours by now puts it back; we look after they had the time to.
    await sleep(30)
    if (JSON.stringify(read(file)) === mine) return { held: true, release: () => release(file, mine) }
  }
}

/** Who holds it: a living process, or null. */
export function lockHolder(file: string): ProcessId | null {
  const holder = read(file)
  return holder && isAlive(holder) ? holder : null
}

/** Whole from the first moment: a link to a file that is written already. */
function createWith(file: string, text: string): boolean {
  const half = `${file}.${process.pid}`
  writeFileSync(half, text)
  try {
    linkSync(half, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(half, { force: true })
  }
}

function read(file: string): ProcessId | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessId
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Removes a dead holder's file; one that turned into a living holder's meanwhile is put back. */
function moveAway(file: string): void {
  const away = `${file}.${process.pid}.old`
  try {
    renameSync(file, away)
    const moved = read(away)
    if (moved && isAlive(moved)) linkSync(away, file)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    rmSync(away, { force: true })
  }
}

function release(file: string, mine: string): void {
  if (JSON.stringify(read(file)) === mine) rmSync(file, { force: true })
}
