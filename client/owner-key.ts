import { keyringOf, newOwnerKey } from '../log/keyring'

/** A new owner key, as a line of a key file, and its name. It is nowhere else. */
export function makeOwnerKey(): { key: string; owner: string } {
  const key = newOwnerKey()
  return { key, owner: keyringOf(key, 'the new key').owner }
}
