/** How the parts of the development stack say what they are doing. Anything that takes over a second reports. */
export interface Progress {
  /** The part: `Postgres`, `Temporal`, `worker`, … */
  what: string
  state: 'start' | 'progress' | 'done'
  detail: string
}
export type OnProgress = (progress: Progress) => void
