/** What of a transcript had no place in the log, or another one than it had there: by kind, with line numbers. */

/** Of one kind; the rest is counted. */
const LINES_KEPT = 50

export const NOTES = {
  not_json: 'lines that are not JSON: kept in the original only',
  not_an_object: 'lines that are JSON, but no object: kept in the original only',
  not_utf8: 'bytes that are no UTF-8: read as U+FFFD',
  repeated: 'lines that stand in the transcript twice: taken once',
  client_only: 'lines about the client itself, not about the conversation: kept in the original only',
  field: 'fields that no event has: kept in the original only',
  unknown_block: 'content of a kind that is not known here: kept as JSON',
  missing_parent: 'lines whose parent is not in the transcript: joined to the line before',
  orphan_result: 'results of calls that the transcript does not have: kept in the original only',
  second_result: 'second results of a call: kept as late evidence',
  missing_result: 'calls without a result: said to be unknown',
  nameless: 'calls without an id, which nothing can answer: said to be unknown',
  empty: 'messages and answers with nothing in them: left out',
  made_up_message: 'answers that follow no message: a message that says so was put before them',
  retried_failure: 'failed calls that were tried again: an attempt of the answer that followed',
  failure_of_nothing: 'failures and stops where nothing was asked: kept in the original only',
  time_went_back: 'lines that are older than the one before: given its time',
  untimed: 'lines without a time: given that of the line before',
  partial_of_failed: 'what a failed call had written: kept in the original only',
  instruction: 'instructions in the middle of the conversation: taken as messages',
  no_summary: 'compactions without their summary: left out',
  sub_agent_not_given: 'sub-agents whose own transcript was not given: only their call and its result are here',
  stray_sub_agent: 'sub-agents that no call of the transcript started: left out',
} as const
export type NoteKind = keyof typeof NOTES

export interface Note {
  kind: NoteKind
  /** Which of its kind: a type of line, a name of a field. */
  what: string
  file: string
  count: number
  /** The first of them. */
  lines: number[]
}

export interface Report {
  note(kind: NoteKind, line: number, what?: string): void
}

/** What notes of a file are collected in; `notes` gives them in a fixed order. */
export class Notes {
  private readonly found = new Map<string, Note>()

  of(file: string): Report {
    return {
      note: (kind, line, what = '') => {
        const key = `${file}\n${kind}\n${what}`
        let note = this.found.get(key)
        if (!note) this.found.set(key, (note = { kind, what, file, count: 0, lines: [] }))
        note.count++
        if (note.lines.length < LINES_KEPT) note.lines.push(line)
      },
    }
  }

  all(): Note[] {
    const order = Object.keys(NOTES)
    return [...this.found.values()].sort(
      (a, b) =>
        a.file.localeCompare(b.file) || order.indexOf(a.kind) - order.indexOf(b.kind) || (a.what < b.what ? -1 : 1),
    )
  }
}
