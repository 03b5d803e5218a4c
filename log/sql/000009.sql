-- Forks: labels of their own, the family of a session, and late results that people bring.

create index sessions_children on savefile.sessions (space_id, parent_id) where parent_id is not null;

drop function savefile.fork_session(text, text, bigint, bytea, text, text, text, text, integer, text);
-- A session that shares its parent's events 1..p_seq without copying them: the cost does not depend on p_seq.
-- The parent needs no lock: what is committed there never changes.
create function savefile.fork_session(
  p_space text, p_parent text, p_seq bigint, p_hash bytea, p_child text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  at bigint;
  seq bigint := p_seq + 1;
  body bytea := convert_to(p_payload, 'UTF8');
  k savefile.events;
  h bytea;
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_parent;
  if not found then return 'session_not_found'; end if;
  select e.* into k from savefile.lineage l
  join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq = p_seq
  where l.space_id = p_space and l.session_id = p_parent and p_seq between l.lo and l.hi;
  if not found or k.hash <> p_hash then return 'no_such_event'; end if;
  perform from savefile.definitions x where x.space_id = p_space and x.hash = p_definition;
  if not found then return 'definition_not_found'; end if;
  at := greatest(savefile.now_us(), k.at);
  h := savefile.event_hash(k.hash, p_child, seq, 'forked', p_v, at, p_actor, 'x:forked', null, body);
  -- An open turn goes on in the fork: it is due at once.
  insert into savefile.sessions
    (space_id, session_id, created_at, parent_id, fork_seq, title, labels, definition, updated_at, head, head_at, head_hash, state, due_at)
  values (p_space, p_child, at, p_parent, p_seq, p_title, p_labels, p_definition, at, seq, at, h, 'running', at)
  on conflict do nothing;
  if not found then return 'session_exists'; end if;
  insert into savefile.lineage (space_id, session_id, src, lo, hi)
  select l.space_id, p_child, l.src, l.lo, least(l.hi, p_seq) from savefile.lineage l
  where l.space_id = p_space and l.session_id = p_parent and l.lo <= p_seq
  union all select p_space, p_child, p_child, seq, 9223372036854775807;
  insert into savefile.session_definitions (space_id, session_id, seq, definition) values (p_space, p_child, seq, p_definition);
  perform savefile.add_event(p_space, p_child, seq, k.hash, at, 'forked', p_v, p_actor, 'x:forked', body);
  return 'created';
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
  works boolean := p_type not in ('definition_changed', 'session_closed', 'result_arrived_late');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  k := case when p_type in ('message_received', 'definition_changed') then 'p:' || p_key
    when p_type = 'result_arrived_late' then savefile.structural_key(p_type, p_subject || ':' || p_key)
    when p_type in ('approval_resolved', 'tool_finished', 'session_closed') then savefile.structural_key(p_type, p_subject) end;
  if k is null then raise exception 'savefile: a person does not append %', p_type; end if;

  select * into e from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.key = k;
  if found then
    seq := e.seq;
    status := case when e.type = p_type and e.payload = body and (k like 'p:%' or e.actor = p_actor) then 'duplicate'
      when k like 'p:%' or p_type = 'result_arrived_late' then 'idempotency_conflict'
      when p_type = 'session_closed' then 'closed' else 'already_resolved' end;
    return;
  end if;
  -- Evidence is taken by a closed session too.
  if s.closed and p_type <> 'result_arrived_late' then status := 'closed'; return; end if;

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

revoke all on function savefile.fork_session(text, text, bigint, bytea, text, text, text, text, text, integer, text) from public;
grant execute on function savefile.fork_session(text, text, bigint, bytea, text, text, text, text, text, integer, text) to savefile_writer;
