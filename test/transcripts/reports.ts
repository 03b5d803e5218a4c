/**
 * What comes of each real transcript: its events by type, and what of it had no place, by kind. Counted in the files, as the comments say.
 */
export interface Expected {
  types: Record<string, number>
  notes: Record<string, number>
  forks: number
  children: number
  /** Texts that are in the original only. */
  missing?: number
}

export const REPORTS: Readonly<Record<string, Expected>> = {
  // 140 lines of 56 answers and one failure (line 274), 71 calls: clients write a line a block.
  'claude-code/api-error-signatures.jsonl': {
    types: {
      session_created: 1,
      message_received: 7,
      model_answered: 56,
      model_failed: 1,
      tool_started: 71,
      tool_finished: 71,
      turn_finished: 7,
    },
    notes: { client_only: 70, field: 92 },
    forks: 0,
    children: 0,
  },
  // Its 31 branch points are parallel results and progress: none is a branch of the conversation.
  'claude-code/blank-text-tool-errors-branches.jsonl': {
    types: {
      session_created: 1,
      message_received: 7,
      model_answered: 39,
      tool_started: 63,
      tool_finished: 63,
      turn_finished: 7,
    },
    notes: { client_only: 55, field: 84 },
    forks: 0,
    children: 0,
  },
  // It begins in the middle: line 1 is the result of a call that it does not have, line 3 an answer to it; then the summary.
  'claude-code/compaction-summary-orphan.jsonl': {
    types: {
      session_created: 1,
      message_received: 1,
      model_answered: 47,
      tool_started: 46,
      tool_finished: 46,
      checkpoint_made: 1,
      turn_finished: 1,
    },
    notes: { client_only: 26, field: 47, missing_parent: 1, orphan_result: 1, made_up_message: 1 },
    forks: 0,
    children: 0,
    missing: 2,
  },
  // Lines 1 and 2 are the end of another conversation: a result without its call, and the stop of a turn that is not there.
  'claude-code/orphan-tool-result-branches.jsonl': {
    types: {
      session_created: 1,
      message_received: 1,
      model_answered: 22,
      tool_started: 23,
      tool_finished: 23,
      turn_finished: 1,
    },
    notes: { client_only: 53, field: 25, missing_parent: 1, orphan_result: 1, failure_of_nothing: 1 },
    forks: 0,
    children: 0,
    missing: 2,
  },
  // 27 messages: 21 texts, 4 of blocks, the pasted image, and the words beside a result (line 206).
  'claude-code/pasted-image-queue-branches.jsonl': {
    types: {
      session_created: 1,
      message_received: 27,
      model_answered: 89,
      tool_started: 74,
      tool_finished: 74,
      turn_finished: 19,
    },
    notes: { client_only: 221, field: 126, missing_parent: 1 },
    forks: 0,
    children: 0,
  },
  // 16 summaries of other sessions; the parent of lines 1 and 18 is missing.
  'claude-code/summaries-branches-missing-parent.jsonl': {
    types: {
      session_created: 1,
      message_received: 3,
      model_answered: 10,
      tool_started: 7,
      tool_finished: 7,
      turn_finished: 3,
    },
    notes: { client_only: 33, field: 10, missing_parent: 1 },
    forks: 0,
    children: 0,
  },
  // Eight sub-agents were started, and the transcripts of none are there.
  'claude-code/task-subagents-no-thinking.jsonl': {
    types: {
      session_created: 1,
      message_received: 2,
      model_answered: 13,
      tool_started: 40,
      tool_finished: 40,
      turn_finished: 1,
    },
    notes: { client_only: 23, field: 40, sub_agent_not_given: 8 },
    forks: 0,
    children: 0,
  },
  // Line 115 is not JSON. The branch is lines 119 and 120; nobody answered it, so its turn ends as a stop.
  'claude-code/two-models-signatures-bad-line.jsonl': {
    types: {
      session_created: 1,
      forked: 1,
      message_received: 8,
      model_answered: 59,
      tool_started: 55,
      tool_finished: 55,
      interrupted: 1,
      turn_finished: 6,
    },
    notes: { not_json: 1, client_only: 40, field: 61, time_went_back: 2 },
    forks: 1,
    children: 0,
  },
  'claude-code/with-subagent.jsonl': {
    types: {
      session_created: 2,
      message_received: 2,
      model_answered: 17,
      tool_started: 34,
      child_started: 1,
      child_finished: 1,
      tool_finished: 34,
      turn_finished: 2,
    },
    notes: { client_only: 6, field: 36 },
    forks: 0,
    children: 1,
  },
  // 99 function calls and 3 patches; 66 token counts are 66 answers. Its event_msg lines say again what response_item lines say.
  'codex/rollout-2026-05-11T11-26-55.jsonl': {
    types: {
      session_created: 1,
      message_received: 3,
      model_answered: 66,
      tool_started: 102,
      tool_finished: 102,
      turn_finished: 2,
    },
    notes: { client_only: 70 },
    forks: 0,
    children: 0,
  },
  // 38 messages, one command, 16 stops: 15 of the transcript, and its own end behind a result. The call of line 628 has none: then it was compacted.
  'pi/before-compaction.head.jsonl': {
    types: {
      session_created: 1,
      message_received: 55,
      model_answered: 341,
      tool_started: 336,
      tool_finished: 336,
      interrupted: 16,
      checkpoint_made: 2,
      turn_finished: 36,
    },
    notes: { client_only: 9, field: 106, missing_result: 1 },
    forks: 0,
    children: 0,
  },
  // Line 33 failed in the middle, with 17 calls that never ran; line 466 answers what nobody asked.
  'pi/large-session.jsonl': {
    types: {
      session_created: 1,
      message_received: 110,
      model_answered: 431,
      model_failed: 1,
      tool_started: 373,
      tool_finished: 373,
      interrupted: 21,
      turn_finished: 86,
    },
    notes: { client_only: 104, field: 147, made_up_message: 1, partial_of_failed: 1 },
    forks: 0,
    children: 0,
    missing: 1,
  },
}
