/** Which limit ended a turn, in plain words. */
import type { Payload } from '../contract/events'

const WHAT = { steps: 'steps', tokens: 'tokens', usd: 'money', seconds: 'time' } as const

export function limitWords(limit: Payload<'turn_finished'>['limit']): string {
  switch (limit) {
    case 'session_steps':
    case 'session_tokens':
    case 'session_usd':
    case 'session_seconds': {
      const what = WHAT[limit.slice('session_'.length) as keyof typeof WHAT]
      return `the session's limit of ${what} is reached; a definition with a greater one (sessionLimits) lets it go on`
    }
    case undefined:
      return 'limit of the definition'
    default:
      return `limit of ${WHAT[limit]}`
  }
}
