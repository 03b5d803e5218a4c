import { runWorker } from '../../worker'
import { orderTea } from './tools'

void runWorker({ tools: [orderTea] }) // SAVEFILE_DATABASE_URL, TEMPORAL_ADDRESS and the provider's key from the environment
