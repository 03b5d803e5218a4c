/** How the parts of the development stack say what they are doing. Anything that takes over a second reports. */
export interface Progress {
  /** The part: `Postgres`, `Temporal`, `worker`, … */
  what: string
  state: 'start' | 'progress' | 'done'
  detail: string
}
export type OnProgress = (progress: Progress) => void

/** Says every second, for as long as it takes, how long it has taken: `<detail>, 3 s`. */
export async function whileWaiting<T>(
  onProgress: OnProgress,
  what: string,
  detail: string,
  work: Promise<T>,
): Promise<T> {
  const began = Date.now()
  const ticker = setInterval(() => {
    onProgress({ what, state: 'progress', detail: `${detail}, ${Math.round((Date.now() - began) / 1_000)} s` })
  }, 1_000)
  try {
    return await work
  } finally {
    clearInterval(ticker)
  }
}
