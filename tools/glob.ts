/**
 * Globs over paths: `*` and `?` within a name, `**` over folders, `{a,b}`. One without "/" is matched against the file's name alone.
 * Time is at most the product of the two lengths, so that no pattern of a model can hold a worker (a RegExp made of it could).
 */

const MAX_BRACES = 64

/** A predicate for the glob; what is wrong with it, as text, where it can't be read. */
export function compileGlob(glob: string): ((path: string) => boolean) | string {
  const patterns = expandBraces(glob)
  if (patterns.length > MAX_BRACES) return `too many alternatives in {...}: at most ${MAX_BRACES}`
  const compiled = patterns.map((pattern) => pattern.split('/').filter((part) => part !== '' && part !== '.'))
  return (path) => {
    const parts = path.split('/')
    return compiled.some((wanted) =>
      wanted.length === 1 && wanted[0] !== '**' ? nameMatches(wanted[0]!, parts.at(-1)!) : pathMatches(wanted, parts),
    )
  }
}

function expandBraces(glob: string): string[] {
  const found = /\{([^{}]*)\}/.exec(glob)
  if (!found) return [glob]
  const before = glob.slice(0, found.index)
  const after = glob.slice(found.index + found[0].length)
  const all: string[] = []
  for (const choice of found[1]!.split(',')) {
    for (const one of expandBraces(before + choice + after)) {
      all.push(one)
      if (all.length > MAX_BRACES) return all
    }
  }
  return all
}

function pathMatches(wanted: string[], parts: string[]): boolean {
  return wildcard(wanted, parts, '**', nameMatches)
}

function nameMatches(wanted: string, name: string): boolean {
  return wildcard([...wanted], [...name], '*', (w, c) => w === '?' || w === c)
}

/** Matching with one kind of wildcard that stands for any run: on a mismatch, the last wildcard takes one more; never further back. */
function wildcard<T>(wanted: readonly T[], given: readonly T[], any: T, same: (w: T, g: T) => boolean): boolean {
  let w = 0
  let g = 0
  let lastAny = -1
  let taken = 0
  while (g < given.length) {
    if (w < wanted.length && wanted[w] === any) {
      lastAny = w++
      taken = g
    } else if (w < wanted.length && same(wanted[w]!, given[g]!)) {
      w++
      g++
    } else if (lastAny >= 0) {
      w = lastAny + 1
      g = ++taken
    } else {
      return false
    }
  }
  while (w < wanted.length && wanted[w] === any) w++
  return w === wanted.length
}
