-- A step's end and what it leads to, in one transaction: half the commits of a step. What the step gave is kept whatever becomes of the
-- append, which is refused as ever where the head or the epoch has moved. `finished`: as finish_draft; the rest as append, or null.
create function savefile.finish_and_append(
  p_space text, p_session text, p_step text, p_token text, p_type text, p_v integer, p_payload text,
  p_epoch bigint, p_head bigint, p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[],
  p_state text, p_due bigint,
  out finished text, out status text, out head bigint, out seqs bigint[]
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  -- First, as everywhere: whoever claims locks the session's row and then the draft's.
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  finished := savefile.finish_draft(p_space, p_session, p_step, p_token, p_type, p_v, p_payload);
  if finished <> 'finished' then return; end if;
  select a.status, a.head, a.seqs into status, head, seqs
  from savefile.append(p_space, p_session, p_epoch, p_head, p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts, p_state, p_due) a;
end $$;

revoke all on function
  savefile.finish_and_append(text, text, text, text, text, integer, text, bigint, bigint, text[], integer[], text[], text[], text[], text[], text, bigint)
from public;
grant execute on function
  savefile.finish_and_append(text, text, text, text, text, integer, text, bigint, bigint, text[], integer[], text[], text[], text[], text[], text, bigint)
to savefile_writer;
