/** Commands about who may do what: share, grants, revoke, token. A token is printed once, on stdout. */
import type { Command } from 'commander'
import type { Right } from '../../contract/events'
import type { TokenInfo } from '../../contract/client-port'
import { SavefileError } from '../../contract/errors'
import { withExamples, type Cli } from '../cli'
import { cut, oneLine } from '../safe-text'

export function addSharingCommands(program: Command, cli: Cli): void {
  addShare(program, cli)
  addGrants(program, cli)
  addRevoke(program, cli)
  addToken(program, cli)
}

const UNIT_US: Readonly<Record<string, number>> = { s: 1e6, m: 6e7, h: 3.6e9, d: 8.64e10 }

/** `7d` from now, in microseconds since 1970. @throws SavefileError `invalid_input` */
function expiry(text: string | undefined): { expiresAt?: number } {
  if (text === undefined) return {}
  const [, n, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (n === undefined)
    throw new SavefileError(
      'invalid_input',
      `--expires is ${JSON.stringify(text)}; it must be a number and s, m, h or d: 7d.`,
    )
  return { expiresAt: Date.now() * 1000 + Number(n) * (UNIT_US[unit] ?? 0) }
}

const list = <T extends string>(text: string): T[] => text.split(',').map((word) => word.trim() as T)
const when = (us: number): string => new Date(us / 1000).toISOString().slice(0, 16).replace('T', ' ')

/** How a grant or a token stands, for people. */
function standing({ expiresAt, revokedAt }: { expiresAt: number | null; revokedAt: number | null }): string {
  if (revokedAt !== null) return `revoked ${when(revokedAt)}`
  if (expiresAt === null) return ''
  return expiresAt <= Date.now() * 1000 ? `expired ${when(expiresAt)}` : `until ${when(expiresAt)}`
}

function addShare(program: Command, cli: Cli): void {
  const command = program
    .command('share')
    .summary('give somebody rights in a session')
    .description(
      'Gives a principal rights in a session, or with --link whoever has the token that is printed. To approve or to fork is to see; to own is all.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .option('--with <principal>', 'who; they need a token (savefile token create)')
    .option('--link', 'whoever has the token that is printed, once')
    .option('-r, --rights <rights>', 'of read, extend, approve, fork, own', 'read')
    .option('--forks', 'also the forks that are made from now on')
    .option('--expires <time>', 'after so long: 30m, 12h, 7d')
    .option('--label <text>', 'what for; it stands in the log')
    .action(
      async (
        prefix: string,
        o: { with?: string; link?: boolean; rights: string; forks?: boolean; expires?: string; label?: string },
      ) => {
        if ((o.with === undefined) === (o.link === undefined))
          throw new SavefileError('invalid_input', 'Say with whom: --with <principal>, or --link.')
        const client = await cli.client()
        const session = await cli.find(prefix)
        const options = {
          rights: list<Right>(o.rights),
          forks: o.forks ?? false,
          ...expiry(o.expires),
          ...(o.label === undefined ? {} : { label: o.label }),
        }
        const granted =
          o.with === undefined ? await client.shareLink(session, options) : await client.grant(session, o.with, options)
        if (cli.out.json) return cli.out.value(granted)
        if ('token' in granted && typeof granted.token === 'string') {
          cli.out.print(granted.token)
          cli.out.note(`Grant ${granted.grant}, event ${granted.seq}. The token above is shown once, and is not kept.`)
        } else cli.out.print(`granted as ${granted.grant}, event ${granted.seq}`)
      },
    )
  withExamples(command, [
    'savefile share 3f8a --with alice --rights read,approve --expires 7d',
    'savefile share 3f8a --with bob --rights read,fork --forks',
    'savefile share 3f8a --link --rights read > link.token',
  ])
}

function addGrants(program: Command, cli: Cli): void {
  const command = program
    .command('grants')
    .summary('who has which rights in a session')
    .description('Lists the grants that reach a session, those that have ended too.')
    .argument('<session>', 'id, or the beginning of one')
    .action(async (prefix: string) => {
      const { out } = cli
      const client = await cli.client()
      const session = await cli.find(prefix)
      const grants = await client.grants(session)
      if (out.json) return grants.forEach((grant) => out.value(grant))
      if (grants.length === 0) return out.note('Nobody has been granted anything here.')
      for (const grant of grants) {
        const words = [
          out.paint('bold', grant.grant.padEnd(13)),
          cut(oneLine(grant.principal ?? '(link)', 40), 24).padEnd(24),
          `${grant.rights.length === 5 ? 'own' : grant.rights.join(',')}${grant.forks ? ' +forks' : ''}`.padEnd(28),
          grant.session === session ? '' : out.paint('dim', `from ${grant.session.slice(0, 8)}`),
          out.paint('dim', standing(grant)),
          cut(oneLine(grant.label ?? '', 60), 40),
        ]
        out.print(
          words
            .filter((word) => word !== '')
            .join('  ')
            .trimEnd(),
        )
      }
    })
  withExamples(command, ['savefile grants 3f8a', "savefile grants 3f8a --json | jq 'select(.revokedAt == null)'"])
}

function addRevoke(program: Command, cli: Cli): void {
  const command = program
    .command('revoke')
    .summary('end a grant')
    .description(
      'Ends a grant at once: everywhere at the session that it was given for; at a fork that it reaches, in that fork.',
    )
    .argument('<session>', 'id, or the beginning of one')
    .argument('<grant>', 'as `savefile grants` has it')
    .action(async (prefix: string, grant: string) => {
      const client = await cli.client()
      const session = await cli.find(prefix)
      const revoked = await client.revoke(session, grant)
      if (cli.out.json) return cli.out.value(revoked)
      cli.out.print(`revoked ${grant}, event ${revoked.seq}`)
    })
  withExamples(command, ['savefile revoke 3f8a g1b2c3d4e5f6'])
}

function addToken(program: Command, cli: Cli): void {
  const { out } = cli
  const token = program
    .command('token')
    .summary('make, list and end tokens')
    .description(
      'Tokens say who somebody is: set SAVEFILE_TOKEN, or --token. What they may do, grants say (savefile share).',
    )
  const create = token
    .command('create')
    .summary('a token for a principal')
    .description('Makes a token and prints it, once, on stdout. The database keeps only a hash of it.')
    .argument('<principal>', 'whose')
    .option('--space-rights <rights>', 'over the whole space: create, own (default: those they have)')
    .option('--expires <time>', 'after so long: 30m, 12h, 90d')
    .option('--label <text>', 'what for')
    .action(async (principal: string, o: { spaceRights?: string; expires?: string; label?: string }) => {
      const client = await cli.client()
      const made = await client.createToken(principal, {
        ...(o.spaceRights === undefined ? {} : { rights: list<TokenInfo['rights'][number]>(o.spaceRights) }),
        ...expiry(o.expires),
        ...(o.label === undefined ? {} : { label: o.label }),
      })
      if (out.json) return out.value(made)
      out.print(made.token)
      out.note(`Token ${made.id} of ${principal}. It is shown once, and is not kept.`)
    })
  withExamples(create, [
    'savefile token create alice --expires 90d',
    'savefile token create backend --space-rights create',
  ])
  const ls = token
    .command('ls')
    .summary('list tokens')
    .description('Lists tokens, never their secrets; with a token of your own those that are yours.')
    .action(async () => {
      const client = await cli.client()
      const tokens = await client.tokens()
      if (out.json) return tokens.forEach((one) => out.value(one))
      if (tokens.length === 0) return out.note('There is no token yet: savefile token create <principal>')
      for (const one of tokens)
        out.print(
          [
            out.paint('bold', one.id),
            cut(oneLine(one.principal, 40), 24).padEnd(24),
            one.rights.join(',').padEnd(10),
            out.paint('dim', standing(one)),
            cut(oneLine(one.label ?? '', 60), 40),
          ]
            .join('  ')
            .trimEnd(),
        )
    })
  withExamples(ls, ['savefile token ls'])
  const revoke = token
    .command('revoke')
    .summary('end a token')
    .description('Ends a token at once.')
    .argument('<token-id>', 'as `savefile token ls` has it')
    .action(async (id: string) => {
      const client = await cli.client()
      await client.revokeToken(id)
      if (out.json) return out.value({ id, revoked: true })
      out.print(`revoked ${id}`)
    })
  withExamples(revoke, ['savefile token revoke t0123456789ab'])
  withExamples(token, [
    'savefile token create alice --expires 90d',
    'savefile token ls',
    'savefile token revoke t0123456789ab',
  ])
}
