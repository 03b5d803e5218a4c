/** Text of others inside HTML: always escaped, in attributes too; what would act unseen is made visible. */
import { visible } from './visible-text'

const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escaped(text: string): string {
  return visible(text).replace(/[&<>"']/g, (char) => ESCAPED[char] ?? '')
}

const FENCE = /^ {0,3}(`{3,}|~{3,})/

/** Prose, as it was written; what stands between code fences looks like code. Nothing of it is taken for markup. */
export function prose(text: string): string {
  let open: string | null = null
  let said: string[] = []
  const out: string[] = []
  const put = (className: string): void => {
    if (said.length > 0) out.push(`<div class="${className}" dir="auto">${escaped(said.join('\n'))}</div>`)
    said = []
  }
  for (const line of visible(text).split('\n')) {
    const fence = FENCE.exec(line)?.[1]
    if (open === null && fence) {
      put('said')
      open = fence
      said.push(line)
    } else if (open !== null && fence?.startsWith(open)) {
      said.push(line)
      put('code')
      open = null
    } else said.push(line)
  }
  put(open === null ? 'said' : 'code')
  return out.join('')
}
