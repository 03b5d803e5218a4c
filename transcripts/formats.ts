/** What a session can be exported as, by the name that --as takes. */
import { exportClaudeCode } from './claude-code-export'
import { exportCodex } from './codex-export'
import type { Exporter } from './exporting'
import { toHtml } from './html'
import { toMarkdown } from './markdown'
import { toOtel } from './otel'

export const EXPORTERS: Readonly<Record<string, Exporter>> = {
  'claude-code': exportClaudeCode,
  codex: exportCodex,
  html: toHtml,
  markdown: toMarkdown,
  otel: toOtel,
}
