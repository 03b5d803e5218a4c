import { keyringOf, newOwnerKey } from '../log/keyring'
import { newQueueKey, type QueueKeyPair } from '../log/queue-key'

/** A new owner key, as a line of a key file, and its name. It is nowhere else. */
export function makeOwnerKey(): { key: string; owner: string } {
  const key = newOwnerKey()
  return { key, owner: keyringOf(key, 'the new key').owner }
}

/** A key pair of the host of a queue, as the text of a file and of a tool's declaration. */
export function makeQueueKey(): QueueKeyPair {
  return newQueueKey()
}
