/**
 * docker-compose.yml. There may be no docker where tests run, so it is checked as a file: by the schema of the compose specification, and
 * more narrowly by what we use of it, what each reference points to, and what we promise. With docker, `docker compose config` as well.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import Ajv from 'ajv'
import { parse } from 'yaml'
import { z } from 'zod'
import { packageRoot } from '../../dev/own-files'
import { SEARCH_ATTRIBUTES, serverArgs } from '../../dev/temporal-server'

const root = packageRoot()
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

const duration = z.string().regex(/^(\d+(us|ms|s|m|h))+$/)
const Service = z.strictObject({
  image: z.string(),
  build: z.string().optional(),
  init: z.boolean().optional(),
  restart: z.string().regex(/^(no|always|unless-stopped|on-failure(:\d+)?)$/),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  stop_grace_period: duration.optional(),
  // Without a value: taken from the environment of whoever runs compose.
  environment: z.record(z.string(), z.string().nullable()).optional(),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\$\{\w+:-\d+\}:\d+$/, 'must be bound to 127.0.0.1')).optional(),
  volumes: z.array(z.string().regex(/^(\w+|\.\/[\w/-]+):\/[\w/-]+(:ro)?$/)).optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.enum(['CMD', 'CMD-SHELL'])], z.string()),
      interval: duration,
      timeout: duration,
      retries: z.int().positive(),
      start_period: duration.optional(),
    })
    .optional(),
  depends_on: z
    .record(
      z.string(),
      z.strictObject({ condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']) }),
    )
    .optional(),
})
const Compose = z.strictObject({
  name: z.string(),
  'x-admin-tools': z.unknown(),
  'x-savefile': z.unknown(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
})

const problems = (text: string): string[] => {
  const checked = Compose.safeParse(parse(text, { merge: true }))
  if (!checked.success) return checked.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  const { services, volumes } = checked.data
  return Object.entries(services).flatMap(([name, service]) => {
    const oneShot = service.restart.startsWith('on-failure')
    const found: string[] = []
    if (/auto-setup/.test(service.image)) found.push(`${name}: auto-setup is deprecated`)
    if (/:latest$|^[^:]+$/.test(service.image)) found.push(`${name}: the image has no version`)
    if (oneShot === Boolean(service.healthcheck))
      found.push(`${name}: a service has a health check, a one-shot has none`)
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      const needed = services[other]
      if (!needed) found.push(`${name}: depends on ${other}, which is not there`)
      else if (condition !== (needed.healthcheck ? 'service_healthy' : 'service_completed_successfully'))
        found.push(`${name}: ${condition} does not fit ${other}`)
    }
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':')
      if (source.startsWith('.') ? !existsSync(path.join(root, source)) : !(source in volumes))
        found.push(`${name}: ${source} is not there`)
    }
    for (const [variable, value] of Object.entries(service.environment ?? {})) {
      if (/PASSW|PWD/.test(variable) && !/^\$\{\w+:-[\w-]+\}$/.test(value ?? ''))
        found.push(`${name}: ${variable} cannot be set from outside`)
      if (/KEY|TOKEN/.test(variable) && value !== null)
        found.push(`${name}: ${variable} must come from the environment`)
    }
    return found
  })
}

test('is valid, on loopback only, versioned, without auto-setup, with a health check on all that stays', () => {
  expect(problems(read('docker-compose.yml'))).toEqual([])
})

/** As `docker compose` does it: variables first (here always their defaults), then merge keys, then the schema. */
const againstTheSpecification = (text: string): string[] => {
  const { $schema: _, ...schema } = JSON.parse(read('test/fixtures/compose/compose-spec.json')) as object & {
    $schema: string
  }
  const validate = new Ajv({ strict: false, allErrors: true }).compile(schema)
  validate(parse(text.replace(/\$\{\w+:-([^}]*)\}/g, '$1'), { merge: true }))
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath}: ${message} ${JSON.stringify(params)}`,
  )
}

test('is what the schema of the compose specification allows', () => {
  expect(againstTheSpecification(read('docker-compose.yml'))).toEqual([])
})

test.each([
  ['a misspelt key', 'start_period', 'start_time', 'start_time'],
  ['a duration that is a list', 'interval: 2s', 'interval: [2s]', 'interval'],
  ['a condition that there is not', 'service_healthy', 'service_well', 'depends_on'],
])('the schema sees %s', (_, what, instead, problem) => {
  expect(againstTheSpecification(read('docker-compose.yml').replace(what, instead)).join('\n')).toContain(problem)
})

test.each([
  ['a port for everyone', /127\.0\.0\.1:(\$\{TEMPORAL_PORT)/, '$1', 'must be bound to 127.0.0.1'],
  ['auto-setup', 'temporalio/server', 'temporalio/auto-setup', 'auto-setup is deprecated'],
  ['a misspelt key', 'start_period', 'start_time', 'start_time'],
  ['no version', /temporalio\/ui:\S+/, 'temporalio/ui', 'the image has no version'],
  [
    'a service that is not there',
    'temporal-schema:\n        condition',
    'schema:\n        condition',
    'depends on schema',
  ],
  ['a condition that never comes', 'service_completed_successfully', 'service_healthy', 'does not fit'],
  ['a fixed password', '${TEMPORAL_POSTGRES_PASSWORD:-temporal-local}', 'temporal', 'cannot be set from outside'],
  ['a key in the file', 'ANTHROPIC_API_KEY:', 'ANTHROPIC_API_KEY: abc', 'must come from the environment'],
])('the check sees %s', (_, what, instead, problem) => {
  const broken = read('docker-compose.yml').replace(what, () =>
    typeof what === 'string' ? instead : (read('docker-compose.yml').match(what)?.[0].replace(what, instead) ?? ''),
  )
  expect(problems(broken).join('\n')).toContain(problem)
})

test('the scripts that it runs are there, executable, and good shell; what it starts is built', () => {
  const { services } = Compose.parse(parse(read('docker-compose.yml'), { merge: true }))
  const commands = Object.values(services).flatMap(({ command }) => command ?? [])
  const scripts = commands
    .filter((word) => word.startsWith('/savefile/'))
    .map((word) => path.join(root, 'docker', path.basename(word)))
  expect(scripts).toHaveLength(2)
  for (const script of scripts) {
    accessSync(script, constants.X_OK)
    execFileSync('/bin/sh', ['-n', script])
  }
  const entries = [
    ...commands,
    ...Object.values(services).flatMap(({ healthcheck }) => healthcheck?.test ?? []),
  ].filter((word) => word.startsWith('dist/'))
  expect(entries).toHaveLength(3)
  for (const entry of entries)
    expect(existsSync(path.join(root, entry.replace(/^dist\//, '').replace(/\.js$/, '.ts')))).toBe(true)
})

test('sets up what the development server is started with: the same search attributes, the same settings', () => {
  const script = read('docker/temporal-namespace.sh')
  for (const [name, type] of Object.entries(SEARCH_ATTRIBUTES))
    expect(script).toContain(`--name ${name} --type ${type}`)
  const config = parse(read('docker/temporal-dynamic-config.yaml')) as Record<string, { value: unknown }[]>
  const settings = Object.entries(config).map(([name, [entry]]) => `${name}=${String(entry?.value)}`)
  const args = serverArgs({ port: 1, uiPort: null, namespace: 'default' })
  expect(settings).toEqual(args.filter((_, n) => args[n - 1] === '--dynamic-config-value'))
})

test('the image: several stages, not as root, without the programs of Postgres', () => {
  const lines = read('Dockerfile').split('\n')
  expect(lines.filter((line) => line.startsWith('FROM '))).toEqual(['FROM node:20-slim AS build', 'FROM node:20-slim'])
  expect(lines.indexOf('USER node')).toBeGreaterThan(lines.indexOf('FROM node:20-slim'))
  for (const line of lines) if (/npm (ci|install)/.test(line)) expect(line).toContain('--ignore-scripts')
})

test('docker itself takes it, where there is docker with compose', () => {
  const has = (() => {
    try {
      execFileSync('docker', ['compose', 'version'], { stdio: 'pipe' })
      return true
    } catch {
      return false
    }
  })()
  // Without: the checks above are all there is, and they ran.
  if (has)
    execFileSync('docker', ['compose', '-f', path.join(root, 'docker-compose.yml'), 'config', '-q'], { stdio: 'pipe' })
  expect(problems(read('docker-compose.yml'))).toEqual([])
})
