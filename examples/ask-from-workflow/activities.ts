/** The backend's own activities: they alone see content. Both may be retried: the session has a name, the message a key. */
import { errorCode, textOf, type AskInput, type AskResult, type Client } from '../../index'

export type Verdict = 'accepted' | 'rejected' | 'undecided'

export interface ReviewActivities {
  sendDocument(documentId: string): Promise<AskInput>
  readVerdict(turn: AskResult): Promise<Verdict>
}

export function createReviewActivities(
  client: Client,
  loadDocument: (id: string) => Promise<string>,
): ReviewActivities {
  const definition = {
    system: 'You judge documents. Begin your answer with the word "accepted" or "rejected".',
    model: { provider: 'anthropic' as const, name: 'claude-sonnet-5-5' },
  }
  return {
    async sendDocument(documentId) {
      const session = `review-${documentId}`
      await client.create({ session, definition }).catch((error: unknown) => {
        if (errorCode(error) !== 'session_exists') throw error // it was made by an attempt that died
      })
      const { seq } = await client.send(session, await loadDocument(documentId), { key: 'document' })
      return { session, seq }
    },

    async readVerdict({ session, answerSeq }) {
      if (answerSeq === null) return 'undecided'
      const [event] = await client.read(session, { from: answerSeq, to: answerSeq })
      if (!event || event.unknown || event.type !== 'model_answered') return 'undecided'
      const text = textOf(event.payload.blocks).trim().toLowerCase()
      return text.startsWith('accepted') ? 'accepted' : text.startsWith('rejected') ? 'rejected' : 'undecided'
    },
  }
}
