/** Whether a request body fits the vendor's own schema (vendor-schemas.ts): what the scripted server of the tests asks of every request. */
import type { ErrorObject } from 'ajv'
import type { Api } from '../../dev/scripted-model/conversation'
import { records, type Json } from '../../dev/scripted-model/json'
import { vendorValidator } from './vendor-schemas'

/** What does not fit, in one line with the place, or null. */
export function misfitOf(api: Api, body: Json): string | null {
  const sent = api === 'openai-chat' ? withoutExtras(body) : body
  const validate = vendorValidator(api)
  if (validate(sent) === true) return null
  const errors = validate.errors ?? []
  // Betas have fields and blocks of their own.
  return api === 'anthropic' && vendorValidator('anthropic-beta')(sent) === true ? null : inOneLine(errors)
}

/** For a server of a test: refuses what does not fit, and keeps what it said, for the test to fail by. */
export function vendorCheck(): { validate: typeof misfitOf; misfits: string[] } {
  const misfits: string[] = []
  return {
    misfits,
    validate(api, body) {
      const misfit = misfitOf(api, body)
      if (misfit !== null) misfits.push(`${api}: ${misfit}`)
      return misfit
    },
  }
}

/** What compatible servers read beside OpenAI's own; check-chat.ts knows which may have it. */
function withoutExtras(body: Json): Json {
  const { top_k: _k, chat_template_kwargs: _t, thinking: _d, reasoning: _o, provider: _p, ...rest } = body
  if (!Array.isArray(body.messages)) return rest
  return {
    ...rest,
    messages: records(body.messages).map(({ reasoning_content: _c, reasoning: _r, ...message }) => message),
  }
}

/** Of many branches that did not fit, the error that lies deepest says most; that a tag is another one says least. */
function inOneLine(errors: ErrorObject[]): string {
  const depth = ({ instancePath }: ErrorObject): number => instancePath.split('/').length
  const isTag = ({ instancePath, keyword, params }: ErrorObject): boolean =>
    keyword === 'const' ? /\/(type|role)$/.test(instancePath) : /^(type|role)$/.test(String(params['missingProperty']))
  const telling = errors.filter((error) => error.keyword !== 'anyOf' && !isTag(error))
  const deepest = [...(telling.length > 0 ? telling : errors)].sort((a, b) => depth(b) - depth(a))[0]
  if (!deepest) return 'does not fit'
  const about = Object.values(deepest.params).map((value) => JSON.stringify(value))
  return `${deepest.instancePath || '/'} ${deepest.message ?? ''} (${about.join(', ')})`
}
