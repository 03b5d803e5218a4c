/** `savefile migrate-database`: brings a database of one's own up to what this version needs. The development stack does it by itself. */
import type { Command } from 'commander'
import { SavefileError } from '../../contract/errors'
import { withExamples, type Cli } from '../cli'

export function addMigrateDatabase(program: Command, cli: Cli): void {
  const command = program
    .command('migrate-database')
    .summary('make or update the tables in a database of your own')
    .description(
      'Runs the migrations that are missing, as the login in SAVEFILE_OWNER_DATABASE_URL: one that may make tables and roles there. Safe when many start at once; forward only. Afterwards grant the login of SAVEFILE_DATABASE_URL the role savefile_writer.',
    )
    .action(async () => {
      const { out } = cli
      const ownerUrl = cli.env.SAVEFILE_OWNER_DATABASE_URL
      if (!ownerUrl)
        throw new SavefileError(
          'setup_failed',
          'SAVEFILE_OWNER_DATABASE_URL is not set: postgres://owner:password@host:5432/database, of a login that may make tables and roles there.',
        )
      const { migrate } = await import('../../log/migrate.js')
      const done = await migrate(ownerUrl, { onProgress: (what) => process.stderr.write(`${what}\n`) })
      if (out.json) out.value(done)
      else out.print(`revision ${done.revision}, ${done.applied} applied`)
    })
  withExamples(command, ['savefile migrate-database'])
}
