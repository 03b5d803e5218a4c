/** The envelope and the owner's keys, without a database: what opens, and all that must not. */
import fc from 'fast-check'
import { deriveKeys, fromText, open, seal, sealedWith, toText } from '../../log/envelope'
import { keyringOf, newOwnerKey, openKeyring, takeKeySource } from '../../log/keyring'

const keys = deriveKeys(Buffer.alloc(32, 7))
const place = { kid: 'k1234567890123456', session: 'ann-1', slot: 'event:message_received' }

describe('an envelope', () => {
  it('gives back what was sealed, for every content, session, slot and key', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 5000 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.string(),
        fc.string(),
        (plain, dataKey, session, slot) => {
          const k = deriveKeys(dataKey)
          const sealed = seal(k, { kid: 'abc', session, slot }, plain)
          expect(sealedWith(sealed)).toEqual({ kid: 'abc' })
          expect(open(k, { kid: 'abc', session, slot }, sealed)).toEqual(Buffer.from(plain))
          expect(fromText(toText(sealed))).toEqual(sealed)
        },
      ),
    )
  })

  it('opens in no other place, with no other key, and not with any bit changed', () => {
    const plain = Buffer.from('the harbour at noon')
    const sealed = seal(keys, place, plain)
    expect(open(keys, { ...place, session: 'ann-2' }, sealed)).toBeNull()
    expect(open(keys, { ...place, slot: 'event:model_answered' }, sealed)).toBeNull()
    expect(open(keys, { ...place, kid: 'k1234567890123457' }, sealed)).toBeNull()
    expect(open(deriveKeys(Buffer.alloc(32, 8)), place, sealed)).toBeNull()
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(open(keys, place, changed)).toBeNull()
    }
    for (let end = 0; end < sealed.length; end++) expect(open(keys, place, sealed.subarray(0, end))).toBeNull()
  })

  it('is the same for the same content in the same place, and for nothing else', () => {
    const of = (text: string, slot = place.slot): string =>
      seal(keys, { ...place, slot }, Buffer.from(text)).toString('hex')
    expect(of('yes')).toBe(of('yes'))
    expect(of('yes')).not.toBe(of('no '))
    expect(of('yes')).not.toBe(of('yes', 'blob'))
    // Not even the nonce repeats where something differs: that would give both away.
    const nonces = new Set(Array.from({ length: 2000 }, (_, i) => of(String(i)).slice(44, 68)))
    expect(nonces.size).toBe(2000)
  })

  it('has the bytes that it always had', () => {
    const sealed = seal(keys, place, Buffer.from('{"blocks":[]}'))
    expect(sealed.toString('hex')).toMatchInlineSnapshot(
      `"53464501116b313233343536373839303132333435363bf65126e893a132d659e16c3a4d5de612b5042462bbebb1dfa1aa65f3ab232e48b9bd3d7bad8cdc91"`,
    )
  })
})

describe("the owner's keys", () => {
  const at = { kid: 'k1', session: 's1' }
  const dataKey = Buffer.alloc(32, 3)

  it('wrap a data key for one session and kid', async () => {
    const ring = keyringOf(newOwnerKey(), 'test')
    const wrapped = await ring.wrap(dataKey, at)
    expect(wrapped.owner).toBe(ring.owner)
    expect(await ring.unwrap(wrapped, at)).toEqual(dataKey)
    await expect(ring.unwrap(wrapped, { ...at, session: 's2' })).rejects.toThrow()
    await expect(ring.unwrap(wrapped, { ...at, kid: 'k2' })).rejects.toThrow()
    expect(await keyringOf(newOwnerKey(), 'test').unwrap(wrapped, at)).toBeNull()
  })

  it('may be several: the first wraps, all unwrap', async () => {
    const [old, young] = [newOwnerKey(), newOwnerKey()]
    const wrapped = await keyringOf(old, 'test').wrap(dataKey, at)
    const both = keyringOf(`# rotated in May\n${young}\n\n${old}\n`, 'test')
    expect(both.owner).toBe(keyringOf(young, 'test').owner)
    expect(await both.unwrap(wrapped, at)).toEqual(dataKey)
  })

  it('are refused by the line that is wrong, which is not quoted', async () => {
    const wrong = `${newOwnerKey()}\nsavefile-key-1:c2hvcnQ\n`
    expect(() => keyringOf(wrong, 'keys.txt')).toThrow(/^Line 2 of keys.txt is no key/)
    expect(() => keyringOf(wrong, 'keys.txt')).not.toThrow(/c2hvcnQ/)
    expect(() => keyringOf('# none\n', 'keys.txt')).toThrow('There is no key in keys.txt')
    await expect(openKeyring({ keyFile: '/nowhere/key' })).rejects.toMatchObject({ code: 'setup_failed' })
  })

  it('are taken out of the environment, from one place only', async () => {
    const key = newOwnerKey()
    const env: Record<string, string | undefined> = { SAVEFILE_KEY: key, HOME: '/' }
    const source = takeKeySource(env)
    expect(env).toEqual({ HOME: '/' })
    expect((await openKeyring(source))?.owner).toBe(keyringOf(key, 'test').owner)
    expect(takeKeySource({})).toBeNull()
    expect(() => takeKeySource({ SAVEFILE_KEY: key, SAVEFILE_KEY_FILE: 'f' })).toThrow('only one may be set')
  })
})
