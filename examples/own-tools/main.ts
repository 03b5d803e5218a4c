import { connect } from '../../index'
import { orderTea } from './tools'

async function main(): Promise<void> {
  const client = await connect()
  const { session } = await client.create({
    definition: { model: { provider: 'anthropic', name: 'claude-sonnet-5-5' }, tools: [orderTea.spec] },
  })
  const answer = await client.ask(session, 'Three guests come. Order green tea.', {
    // order_tea asks: here a program says yes, elsewhere a person does (`savefile approve`).
    onApproval: (call) => Promise.resolve({ decision: call.tool === 'order_tea' ? 'allow' : 'deny' }),
  })
  console.log(answer.text)
  await client.disconnect()
}

void main()
