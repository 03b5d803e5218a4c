-- Checkpoints and compactions: a step may end with checkpoint_made, a person may give one, and a new session may begin with one.

-- The session that a compaction's summary is of. No lineage: nothing of that log is this one's.
alter table savefile.sessions add column compacted_from text;
create index sessions_compactions on savefile.sessions (space_id, compacted_from) where compacted_from is not null;

-- Rule 12: the token decides, not the epoch. A tool's refused result is evidence, and somebody must come and append it.
create or replace function savefile.finish_draft(p_space text, p_session text, p_step text, p_token text, p_type text, p_v integer, p_payload text)
returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  body bytea := convert_to(p_payload, 'UTF8');
begin
  if p_type not in ('model_answered', 'model_failed', 'tool_finished', 'checkpoint_made') then raise exception 'savefile: no step ends with %', p_type; end if;
  update savefile.drafts x set state = 'finished', type = p_type, v = p_v, payload = body
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step and x.token = p_token and x.state = 'running';
  if found then return 'finished'; end if;
  -- A repeat of what was already taken.
  perform from savefile.drafts x
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step and x.token = p_token and x.state = 'finished';
  if found then return 'finished'; end if;
  if p_type = 'tool_finished' and p_step like 'tool@%' then
    if savefile.own_seq(p_space, p_session, 'x:late:' || substr(p_step, 6) || ':' || p_token) is null then
      insert into savefile.evidence (space_id, session_id, call, token, payload)
      values (p_space, p_session, substr(p_step, 6), p_token, body) on conflict do nothing;
      update savefile.sessions x set due_at = least(x.due_at, savefile.now_us()), updated_at = savefile.now_us()
      where x.space_id = p_space and x.session_id = p_session and not x.closed;
    end if;
  end if;
  return 'refused';
end $$;

-- A person's append: no lease, no expected head. p_subject: the call of an approval, of a deferred result, or of one that came late.
create or replace function savefile.input(
  p_space text, p_session text, p_actor text, p_key text, p_type text, p_v integer, p_subject text, p_payload text, p_definition text,
  out status text, out seq bigint, out head bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  e savefile.events;
  k text; h bytea; event_at bigint; body bytea := convert_to(p_payload, 'UTF8');
  works boolean := p_type not in ('definition_changed', 'session_closed', 'result_arrived_late', 'checkpoint_made');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  k := case when p_type in ('message_received', 'definition_changed', 'checkpoint_made') then 'p:' || p_key
    when p_type = 'result_arrived_late' then savefile.structural_key(p_type, p_subject || ':' || p_key)
    when p_type in ('approval_resolved', 'tool_finished', 'session_closed') then savefile.structural_key(p_type, p_subject) end;
  if k is null then raise exception 'savefile: a person does not append %', p_type; end if;

  select * into e from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.key = k;
  if found and p_type = 'approval_resolved' and e.seq < s.custody_seq then
    -- What was decided before custody was taken binds nobody here: it is asked again, and answered under a key of this custody.
    k := k || '@' || s.custody_seq;
    select * into e from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.key = k;
  end if;
  if found then
    seq := e.seq;
    status := case when e.type = p_type and e.payload = body and (k like 'p:%' or e.actor = p_actor) then 'duplicate'
      when k like 'p:%' or p_type = 'result_arrived_late' then 'idempotency_conflict'
      when p_type = 'session_closed' then 'closed' else 'already_resolved' end;
    return;
  end if;
  -- Evidence is taken by a closed session too.
  if s.closed and p_type <> 'result_arrived_late' then status := 'closed'; return; end if;
  if s.custody <> 'live' then status := s.custody; return; end if;

  if p_type = 'approval_resolved' then
    if savefile.lineage_seq(p_space, p_session, 'x:request:' || p_subject) is null then
      status := case when savefile.lineage_seq(p_space, p_session, 'x:started:' || p_subject) is null
        and savefile.lineage_seq(p_space, p_session, 'x:result:' || p_subject) is null then 'call_not_found' else 'not_requested' end;
      return;
    end if;
    seq := savefile.lineage_seq(p_space, p_session, 'x:result:' || p_subject);
    if seq is not null then status := 'already_resolved'; return; end if;
  elsif p_type = 'tool_finished' then
    if savefile.lineage_seq(p_space, p_session, 'x:started:' || p_subject) is null then status := 'call_not_found'; return; end if;
    seq := savefile.lineage_seq(p_space, p_session, k);
    if seq is not null then status := 'already_resolved'; return; end if;
  elsif p_type = 'result_arrived_late' then
    -- Only behind a result that nobody brought: who comes second with one of their own has lost, and is told so.
    if savefile.lineage_seq(p_space, p_session, 'x:result:' || p_subject) is null then status := 'call_not_found'; return; end if;
  elsif p_type = 'definition_changed' then
    perform from savefile.definitions x where x.space_id = p_space and x.hash = p_definition;
    if not found then status := 'definition_not_found'; return; end if;
  end if;

  event_at := greatest(savefile.now_us(), s.head_at);
  head := s.head + 1;
  seq := head;
  h := savefile.add_event(p_space, p_session, head, s.head_hash, event_at, p_type, p_v, p_actor, k, body);
  if p_type = 'definition_changed' then
    insert into savefile.session_definitions (space_id, session_id, seq, definition) values (p_space, p_session, head, p_definition);
  end if;
  update savefile.sessions x set
    head = input.head, head_hash = h, head_at = event_at, updated_at = event_at,
    closed = x.closed or p_type = 'session_closed',
    definition = case when p_type = 'definition_changed' then p_definition else x.definition end,
    due_at = case when p_type = 'session_closed' then null when works then least(x.due_at, event_at) else x.due_at end,
    state = case when p_type = 'session_closed' then 'idle' when works and x.state = 'idle' then 'running' else x.state end
  where x.space_id = p_space and x.session_id = p_session;
  status := 'appended';
end $$;

-- A new session whose second event is the summary of another one's events: both or none.
create function savefile.create_compaction(
  p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text,
  p_of text, p_checkpoint_v integer, p_checkpoint text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  status text;
  h bytea;
begin
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_of;
  if not found then return 'session_not_found'; end if;
  status := savefile.create_session(p_space, p_session, p_actor, p_definition, p_title, p_labels, p_v, p_payload);
  if status <> 'created' then return status; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  h := savefile.add_event(p_space, p_session, 2, s.head_hash, s.head_at, 'checkpoint_made', p_checkpoint_v, p_actor, 'p:compaction', convert_to(p_checkpoint, 'UTF8'));
  update savefile.sessions x set head = 2, head_hash = h, compacted_from = p_of where x.space_id = p_space and x.session_id = p_session;
  return status;
end $$;

revoke all on function savefile.create_compaction(text, text, text, text, text, text, integer, text, text, integer, text) from public;
grant execute on function savefile.create_compaction(text, text, text, text, text, text, integer, text, text, integer, text) to savefile_writer;
