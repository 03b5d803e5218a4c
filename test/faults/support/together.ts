/** Scenarios that mostly wait (for a heartbeat to be missed, a server to start): all of a file's begin at once, each is a test of its own. */
export function together(scenarios: Record<string, () => Promise<void>>): void {
  const running = new Map<string, Promise<PromiseSettledResult<void>>>()
  beforeAll(() => {
    for (const [name, run] of Object.entries(scenarios))
      running.set(
        name,
        run().then(
          (value) => ({ status: 'fulfilled', value }),
          (reason: unknown) => ({ status: 'rejected', reason }),
        ),
      )
  })
  for (const name of Object.keys(scenarios))
    test(
      name,
      async () => {
        const outcome = await running.get(name)
        if (outcome?.status !== 'fulfilled') throw outcome?.reason ?? new Error('it never began')
      },
      180_000,
    )
}
