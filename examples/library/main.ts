import { connect } from '../../index'

async function main(): Promise<void> {
  const client = await connect() // SAVEFILE_DATABASE_URL and TEMPORAL_ADDRESS, or the stack of `savefile dev`
  const { session } = await client.create({
    definition: { system: 'Answer in one sentence.', model: { provider: 'anthropic', name: 'claude-sonnet-5-5' } },
  })
  const answer = await client.ask(session, 'What is an append-only log good for?', { key: 'question-1' })
  console.log(answer.text)
  await client.disconnect()
}

void main()
