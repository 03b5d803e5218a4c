import { ProviderName } from '../contract/definition'

/** `provider/model`, `provider` or `model`: names of models may hold slashes, and are no provider's names. */
export function modelNamed(text: string): { provider?: ProviderName; name?: string } {
  const [first = '', ...rest] = text.split('/')
  const provider = ProviderName.safeParse(first)
  const name = provider.success ? rest.join('/') : text
  return { ...(provider.success ? { provider: provider.data } : {}), ...(name === '' ? {} : { name }) }
}
