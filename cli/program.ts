/** All commands of `savefile`. */
import { Command } from 'commander'
import { exitCodesAfter, type Cli } from './cli'
import { addBundleCommands } from './commands/bundles'
import { addCompactionCommands } from './commands/compaction'
import { addContextCommands } from './commands/context'
import { addDev } from './commands/dev'
import { addDoctor } from './commands/doctor'
import { addFamilyCommands } from './commands/family'
import { addInputCommands } from './commands/inputs'
import { addKeyCommands } from './commands/keys'
import { addMigrateDatabase } from './commands/migrate-database'
import { addProofCommands } from './commands/proofs'
import { addReadCommands } from './commands/reads'
import { addReconcile } from './commands/reconcile'
import { addSharingCommands } from './commands/sharing'
import { addWorkCommands } from './commands/work'
import { addWorker } from './commands/worker'

export const ENVIRONMENT = `
Environment:
  SAVEFILE_DATABASE_URL  the log: postgres://user:password@host:5432/database
  TEMPORAL_ADDRESS       host:port; also TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*
  SAVEFILE_KEY_FILE      the owner key of encrypted sessions (docs/erase.md); SAVEFILE_ENCRYPTED=1: all that are created
  SAVEFILE_PRINCIPAL     in whose name inputs are written (default: your login)
  SAVEFILE_TOKEN         who you are, proven: the database login is then one of savefile_member
  SAVEFILE_LISTEN        off: followers poll, as they must behind PgBouncer in transaction mode
  NO_COLOR               no colours
Without the first two, the development stack of this folder or of one above it is used (savefile dev).`

export function createProgram(cli: Cli, version: string): Command {
  const program = new Command('savefile')
    .description('Durable agents whose log is yours.')
    .version(version)
    .option('--json', 'data as JSON on stdout: one value, or one a line')
    .option('--space <name>', 'whose sessions', 'default')
    .option('--token <token>', 'who you are (better in SAVEFILE_TOKEN: others see arguments)')
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    .exitOverride()
  addDev(program, cli)
  addWorkCommands(program, cli)
  addInputCommands(program, cli)
  addFamilyCommands(program, cli)
  addCompactionCommands(program, cli)
  addContextCommands(program, cli)
  addReadCommands(program, cli)
  addBundleCommands(program, cli)
  addProofCommands(program, cli)
  addSharingCommands(program, cli)
  addKeyCommands(program, cli)
  addReconcile(program, cli)
  addWorker(program, cli)
  addMigrateDatabase(program, cli)
  addDoctor(program, cli)
  exitCodesAfter(program)
  program.addHelpText('after', ENVIRONMENT)
  program.addHelpText(
    'after',
    '\nBegin:\n  $ savefile dev --background\n  $ savefile run "write a short report on this folder into REPORT.md"',
  )
  return program
}
