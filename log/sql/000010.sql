-- Custody: which sessions go on here. `live` does. `inert` came whole with a bundle and waits to be adopted; a `stub` is an ancestor of which
-- only a stretch came; `arriving` is one whose import has not ended (never seen by others: an import is one transaction).
alter table savefile.sessions
  add column custody text not null default 'live',
  -- Seq of the last custody_taken in this session's own rows; 0 where none.
  add column custody_seq bigint not null default 0,
  add constraint sessions_custody check (custody in ('live', 'inert', 'stub', 'arriving'));

-- The children that a session started are looked for at every export.
create index events_children on savefile.events (space_id, session_id, seq) where type = 'child_started';

-- Behind every function that appends, whoever wrote it: the head of a session that does not go on here stays where it is.
create function savefile.refuse_to_extend() returns trigger language plpgsql as $$
begin
  raise exception 'savefile: session % is %, and takes no event until it is adopted', old.session_id, old.custody
    using errcode = 'object_not_in_prerequisite_state';
end $$;
create trigger custody before update on savefile.sessions for each row
  when (old.custody in ('inert', 'stub') and new.custody = old.custody and new.head <> old.head) execute function savefile.refuse_to_extend();
alter table savefile.sessions enable always trigger custody;

-- The first of an import's calls for a session, which together are one transaction. p_base, p_base_seq: the event that its own rows go on
-- from, and the session whose row that is; null for a log that begins of itself. p_head, p_hash: where the bundle's stretch ends.
-- new: its events are to come, from head + 1. prefix: the same, here it is behind. there: all of it is here. diverged, behind (a stretch of a
-- live session that it has not reached itself), busy (somebody executes it), base_missing.
create function savefile.import_begin(
  p_space text, p_session text, p_stub boolean, p_base text, p_base_seq bigint, p_parent text, p_title text, p_labels text,
  p_head bigint, p_hash bytea, p_ttl bigint, out status text, out head bigint, out head_hash bytea, out custody text
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  base savefile.events;
  stored bytea;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
  if not found then
    if p_base is not null then
      select * into base from savefile.events x where x.space_id = p_space and x.session_id = p_base and x.seq = p_base_seq;
      if not found then status := 'base_missing'; return; end if;
    end if;
    head := coalesce(base.seq, 0);
    head_hash := coalesce(base.hash, '');
    insert into savefile.sessions
      (space_id, session_id, created_at, parent_id, fork_seq, title, labels, definition, updated_at, head, head_at, head_hash, custody)
    values (p_space, p_session, 0, p_parent, p_base_seq, p_title, p_labels, '', 0, import_begin.head, coalesce(base.at, 0), import_begin.head_hash, 'arriving')
    on conflict do nothing;
    if not found then
      -- Somebody else's import, or a new session of that name, was first: it is committed by now.
      select b.status, b.head, b.head_hash, b.custody into status, head, head_hash, custody
      from savefile.import_begin(p_space, p_session, p_stub, p_base, p_base_seq, p_parent, p_title, p_labels, p_head, p_hash, p_ttl) b;
      return;
    end if;
    insert into savefile.lineage (space_id, session_id, src, lo, hi)
    select l.space_id, p_session, l.src, l.lo, least(l.hi, p_base_seq) from savefile.lineage l
    where l.space_id = p_space and l.session_id = p_base and l.lo <= p_base_seq
    union all select p_space, p_session, p_session, import_begin.head + 1, 9223372036854775807;
    status := 'new';
    custody := 'arriving';
    return;
  end if;
  if s.head < p_head then
    select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  end if;
  head := s.head;
  head_hash := s.head_hash;
  custody := s.custody;
  if s.head >= p_head then
    select x.hash into stored from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.seq = p_head;
    status := case when stored = p_hash then 'there' else 'diverged' end;
    -- What was a stretch of it is now known to be all of it.
    if status = 'there' and s.custody = 'stub' and not p_stub and s.head = p_head then
      update savefile.sessions x set custody = 'inert' where x.space_id = p_space and x.session_id = p_session;
      custody := 'inert';
    end if;
    return;
  end if;
  if s.custody = 'live' then
    if p_stub then status := 'behind'; return; end if;
    perform from savefile.drafts x
    where x.space_id = p_space and x.session_id = p_session and x.state = 'running' and x.beat_at > savefile.now_us() - p_ttl;
    if found then status := 'busy'; return; end if;
  end if;
  -- A new epoch: whoever executed it learns that it is no longer theirs.
  update savefile.sessions x set custody = 'arriving', epoch = x.epoch + 1, owner_cluster = null, owner_run = null, state = 'idle', due_at = null
  where x.space_id = p_space and x.session_id = p_session;
  status := 'prefix';
end $$;

-- Events of one session in a row, from its head on. Arrays of equal length; the payloads, and the hashes of 32 bytes, stand one behind the
-- other. Every hash is computed here: what does not give it is refused.
create function savefile.import_events(
  p_space text, p_session text, p_types text[], p_vs integer[], p_ats bigint[], p_actors text[], p_keys text[], p_kids text[],
  p_definitions text[], p_lengths integer[], p_payloads bytea, p_hashes bytea
) returns bigint language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  n integer := array_length(p_types, 1);
  written integer;
  last_hash bytea := substring(p_hashes from (array_length(p_types, 1) - 1) * 32 + 1 for 32);
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if s.custody is distinct from 'arriving' then
    raise exception 'savefile: session % takes no imported events', p_session using errcode = 'object_not_in_prerequisite_state';
  end if;
  insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
  select p_space, p_session, q.seq, q.type, q.v, q.at, q.actor, q.key, q.kid, q.payload, q.prev_hash, q.hash
  from (
    select s.head + u.i as seq, u.type, u.v, u.at, u.actor, u.key, u.kid, substring(p_payloads from (u.upto - u.bytes + 1)::integer for u.bytes) as payload,
      case u.i when 1 then s.head_hash else substring(p_hashes from ((u.i - 2) * 32 + 1)::integer for 32) end as prev_hash,
      substring(p_hashes from ((u.i - 1) * 32 + 1)::integer for 32) as hash, u.before
    from (
      select r.*, sum(r.bytes) over (order by r.i) as upto, coalesce(lag(r.at) over (order by r.i), s.head_at) as before
      from unnest(p_types, p_vs, p_ats, p_actors, p_keys, p_kids, p_lengths) with ordinality r (type, v, at, actor, key, kid, bytes, i)) u
    offset 0) q
  where q.at >= q.before and q.key like any ('{p:_%,x:_%}')
    and q.hash = savefile.event_hash(q.prev_hash, p_session, q.seq, q.type, q.v, q.at, q.actor, q.key, q.kid, q.payload);
  get diagnostics written = row_count;
  if written <> n then
    raise exception 'savefile: % of the events % to % of session % are not what their hashes say', n - written, s.head + 1, s.head + n, p_session
      using errcode = 'data_corrupted';
  end if;
  insert into savefile.session_definitions (space_id, session_id, seq, definition)
  select p_space, p_session, s.head + u.i, u.definition from unnest(p_definitions) with ordinality u (definition, i) where u.definition is not null;
  update savefile.sessions x set
    head = s.head + n, head_hash = last_hash, head_at = p_ats[n], updated_at = p_ats[n],
    created_at = case when x.created_at = 0 then p_ats[1] else x.created_at end,
    definition = coalesce((select u.definition from unnest(p_definitions) with ordinality u (definition, i) where u.definition is not null order by u.i desc limit 1), x.definition),
    closed = x.closed or 'session_closed' = any (p_types),
    finished_seq = greatest(x.finished_seq, (select s.head + max(u.i) from unnest(p_types) with ordinality u (type, i) where u.type = 'turn_finished')),
    answer_seq = greatest(x.answer_seq, (select s.head + max(u.i) from unnest(p_types) with ordinality u (type, i) where u.type in ('model_answered', 'model_failed'))),
    custody_seq = greatest(x.custody_seq, (select s.head + max(u.i) from unnest(p_types) with ordinality u (type, i) where u.type = 'custody_taken'))
  where x.space_id = p_space and x.session_id = p_session;
  return s.head + n;
end $$;

-- The last: what came is what was announced, and waits to be adopted. False where it is not.
create function savefile.import_end(p_space text, p_session text, p_stub boolean, p_head bigint, p_hash bytea)
returns boolean language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  update savefile.sessions x set custody = case when p_stub then 'stub' else 'inert' end
  where x.space_id = p_space and x.session_id = p_session and x.custody = 'arriving' and x.head = p_head and x.head_hash = p_hash
    and exists (select from savefile.definitions d where d.space_id = p_space and d.hash = x.definition);
  return found;
end $$;

-- A blob, and the sessions that refer to it. Gives back its name, which is made of its bytes.
create function savefile.import_blob(p_space text, p_sessions text[], p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  name text := 'sha256:' || encode(sha256(p_content), 'hex');
begin
  insert into savefile.blobs (space_id, hash, media_type, created_at, content)
  values (p_space, name, p_media_type, savefile.now_us(), p_content) on conflict do nothing;
  insert into savefile.blob_refs (space_id, session_id, hash)
  select x.space_id, x.session_id, name from savefile.sessions x where x.space_id = p_space and x.session_id = any (p_sessions)
  on conflict do nothing;
  return name;
end $$;

-- An imported session goes on here. What was open is inherited (PROTOCOL.md rule 21), so it is due at once.
create function savefile.adopt(p_space text, p_session text, p_actor text, p_head bigint, p_v integer, p_payload text, out status text, out seq bigint)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  event_at bigint;
  h bytea;
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  seq := s.custody_seq;
  if s.custody <> 'inert' then status := s.custody; return; end if;
  if s.closed then status := 'closed'; return; end if;
  if s.head <> p_head then status := 'head_moved'; return; end if;
  seq := s.head + 1;
  event_at := greatest(savefile.now_us(), s.head_at);
  h := savefile.add_event(p_space, p_session, seq, s.head_hash, event_at, 'custody_taken', p_v, p_actor, savefile.structural_key('custody_taken', p_head::text), convert_to(p_payload, 'UTF8'));
  update savefile.sessions x set
    custody = 'live', custody_seq = adopt.seq, epoch = x.epoch + 1, head = adopt.seq, head_hash = h, head_at = event_at, updated_at = event_at,
    state = 'running', due_at = event_at
  where x.space_id = p_space and x.session_id = p_session;
  status := 'adopted';
end $$;

-- As in 000003.sql, and: what is not live is not executed.
create or replace function savefile.claim_session(
  p_space text, p_session text, p_cluster text, p_run text, p_takeover boolean, p_ttl bigint,
  out status text, out epoch bigint, out retry_us bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  now_at bigint; heard bigint; swept integer;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  if s.closed then status := 'closed'; return; end if;
  if s.custody <> 'live' then status := s.custody; return; end if;
  now_at := savefile.now_us();
  status := 'claimed';
  epoch := s.epoch;
  if s.owner_cluster = p_cluster and s.owner_run = p_run then
    update savefile.sessions x set owner_seen_at = now_at where x.space_id = p_space and x.session_id = p_session;
    return;
  end if;
  if s.owner_cluster <> p_cluster and not p_takeover then
    select max(x.beat_at) into heard from savefile.drafts x
    where x.space_id = p_space and x.session_id = p_session and x.born >= s.answer_seq and x.state = 'running';
    heard := greatest(heard, s.owner_seen_at);
    if heard > now_at - p_ttl then
      status := 'owned_elsewhere';
      epoch := null;
      retry_us := heard + p_ttl - now_at;
      return;
    end if;
  end if;
  epoch := s.epoch + 1;
  -- Rule 15: rows of turns that finished under an older epoch than this one. A few at once; sweep() does the rest of a long turn.
  delete from savefile.drafts x where x.ctid = any (array(
    select y.ctid from savefile.drafts y
    where y.space_id = p_space and y.session_id = p_session and y.born < s.finished_seq
    order by y.born limit 100));
  get diagnostics swept = row_count;
  update savefile.sessions x set
    epoch = claim_session.epoch, owner_cluster = p_cluster, owner_run = p_run, owner_seen_at = now_at,
    sweep_to = case when swept = 100 then s.finished_seq end
  where x.space_id = p_space and x.session_id = p_session;
end $$;

-- As in 000009.sql, and: what is not live is not spoken to; a decision counts within its custody.
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

revoke all on function
  savefile.refuse_to_extend(),
  savefile.import_begin(text, text, boolean, text, bigint, text, text, text, bigint, bytea, bigint),
  savefile.import_events(text, text, text[], integer[], bigint[], text[], text[], text[], text[], integer[], bytea, bytea),
  savefile.import_end(text, text, boolean, bigint, bytea),
  savefile.import_blob(text, text[], text, bytea),
  savefile.adopt(text, text, text, bigint, integer, text)
from public;
grant execute on function
  savefile.import_begin(text, text, boolean, text, bigint, text, text, text, bigint, bytea, bigint),
  savefile.import_events(text, text, text[], integer[], bigint[], text[], text[], text[], text[], integer[], bytea, bytea),
  savefile.import_end(text, text, boolean, bigint, bytea),
  savefile.import_blob(text, text[], text, bytea),
  savefile.adopt(text, text, text, bigint, integer, text)
to savefile_writer;
