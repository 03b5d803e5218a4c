-- Appending: one function, one transaction, one round trip (PROTOCOL.md rules 1 to 4). Nothing that is normal raises.

create function savefile.now_us() returns bigint language sql volatile as $$
  select (extract(epoch from clock_timestamp()) * 1000000)::bigint
$$;

-- A field of the hash: its length in four bytes, big-endian, then its bytes; null as length 0.
create function savefile.field(bytes bytea) returns bytea language sql immutable parallel safe as $$
  select case when bytes is null then '\x00000000'::bytea else int4send(octet_length(bytes)) || bytes end
$$;
create function savefile.field(t text) returns bytea language sql immutable parallel safe as $$
  select case when t is null then '\x00000000'::bytea else int4send(octet_length(t)) || convert_to(t, 'UTF8') end
$$;

-- The identity of an event (DESIGN.md section 4). log/hash.ts computes the same; test/log/hash-vectors.json binds both.
create function savefile.event_hash(
  prev_hash bytea, session_id text, seq bigint, type text, v integer, at bigint, actor text, key text, kid text, payload bytea
) returns bytea language sql immutable parallel safe as $$
  select sha256(
    '\x0000000a7361766566696c652f31'::bytea || savefile.field(prev_hash) || savefile.field(session_id) || savefile.field(seq::text)
    || savefile.field(type) || savefile.field(v::text) || savefile.field(at::text) || savefile.field(actor) || savefile.field(key)
    || savefile.field(kid) || savefile.field(sha256(payload)))
$$;

-- The one place that inserts events. Whoever calls it holds the session's row.
create function savefile.add_event(
  p_space text, p_session text, p_seq bigint, p_prev bytea, p_at bigint, p_type text, p_v integer, p_actor text, p_key text, p_payload bytea
) returns bytea language plpgsql as $$
declare
  h bytea := savefile.event_hash(p_prev, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, null, p_payload);
begin
  insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
  values (p_space, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, null, p_payload, p_prev, h);
  return h;
end $$;

-- Structural keys: made here and nowhere else. `subject`: a call, a step, a turn; of a late result the call and its token.
create function savefile.structural_key(p_type text, p_subject text) returns text language plpgsql immutable as $$
begin
  return case p_type
    when 'session_created' then 'x:created'
    when 'forked' then 'x:forked'
    when 'model_answered' then 'x:' || p_subject
    when 'model_failed' then 'x:' || p_subject
    when 'approval_requested' then 'x:request:' || p_subject
    when 'approval_resolved' then 'x:approval:' || p_subject
    when 'tool_started' then 'x:started:' || p_subject
    when 'tool_finished' then 'x:result:' || p_subject
    when 'result_arrived_late' then 'x:late:' || p_subject
    when 'interrupted' then 'x:interrupted:' || p_subject
    when 'turn_finished' then 'x:finished:' || p_subject
    when 'session_closed' then 'x:closed'
  end;
end $$;

-- Seq of the event with this key in the session's own rows, or through its lineage: what a fork inherits ends at the fork.
create function savefile.own_seq(p_space text, p_session text, p_key text) returns bigint language plpgsql stable as $$
begin
  return (select e.seq from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = p_key);
end $$;
create function savefile.lineage_seq(p_space text, p_session text, p_key text) returns bigint language plpgsql stable as $$
begin
  return (
    select e.seq
    from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = p_key and e.seq between l.lo and l.hi
    where l.space_id = p_space and l.session_id = p_session
    limit 1);
end $$;

-- The executor's append. Arrays of equal length: an event's payload is given, or is that of the finished draft row whose step is in
-- p_drafts (then the content does not cross the network again); for a late result p_drafts holds the evidence's token.
create function savefile.append(
  p_space text, p_session text, p_epoch bigint, p_head bigint,
  p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[],
  p_state text, p_due bigint,
  out status text, out head bigint, out seqs bigint[]
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  d savefile.drafts;
  k text; h bytea; stored bigint; body bytea; version integer; subject text;
  now_at bigint; event_at bigint; finished bigint; answered bigint; due bigint := p_due; n integer := coalesce(array_length(p_types, 1), 0);
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  if s.closed then status := 'closed'; return; end if;
  if s.epoch <> p_epoch then status := 'stale_epoch'; return; end if;
  if s.head <> p_head then status := 'head_moved'; return; end if;

  now_at := savefile.now_us();
  event_at := greatest(now_at, s.head_at);
  h := s.head_hash;
  finished := s.finished_seq;
  answered := s.answer_seq;
  seqs := '{}';
  for i in 1 .. n loop
    subject := p_subjects[i];
    if p_types[i] = 'result_arrived_late' then subject := subject || ':' || p_drafts[i]; end if;
    k := savefile.structural_key(p_types[i], subject);
    if k is null or p_types[i] in ('session_created', 'forked') then
      raise exception 'savefile: an executor does not append %', p_types[i];
    end if;
    if p_types[i] in ('approval_requested', 'tool_started', 'tool_finished') then
      stored := savefile.lineage_seq(p_space, p_session, k);
    else
      stored := savefile.own_seq(p_space, p_session, k);
    end if;
    if stored is null then
      body := convert_to(p_payloads[i], 'UTF8');
      version := p_vs[i];
      if body is null then
        select * into d from savefile.drafts x where x.space_id = p_space and x.session_id = p_session and x.step = p_drafts[i];
        if d.state is distinct from 'finished' or d.type <> p_types[i] then
          raise exception 'savefile: no finished draft % of type %', p_drafts[i], p_types[i];
        end if;
        body := d.payload;
        version := d.v;
      end if;
      head := head + 1;
      h := savefile.add_event(p_space, p_session, head, h, event_at, p_types[i], version,
        case when p_types[i] in ('model_answered', 'model_failed') then 'agent'
          when p_types[i] in ('tool_finished', 'result_arrived_late') then 'tool:' || p_tools[i] else 'system' end, k, body);
      stored := head;
      if p_types[i] = 'turn_finished' then finished := head; end if;
      if p_types[i] in ('model_answered', 'model_failed') then
        answered := head;
        -- Live text stays until the next answer of its session, so that who reads it sees its end.
        delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> p_subjects[i];
      end if;
    end if;
    if p_types[i] = 'result_arrived_late' then
      delete from savefile.evidence x where x.space_id = p_space and x.session_id = p_session and x.call = p_subjects[i] and x.token = p_drafts[i];
    end if;
    seqs := seqs || stored;
  end loop;

  -- While a run goes on, due_at is its alarm: it is moved only once it rang, since every move costs the row's place in two indexes.
  if p_state = 'running' and s.state = 'running' and s.due_at between now_at and p_due then due := s.due_at; end if;
  -- Evidence that came after the executor's look is work that it does not know of.
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := now_at; end if;
  update savefile.sessions x set
    state = p_state, due_at = due, owner_seen_at = now_at, head = append.head, head_hash = h,
    head_at = case when append.head > s.head then event_at else s.head_at end,
    updated_at = case when due is distinct from s.due_at then event_at else s.updated_at end,
    stalls = case when append.head > s.head then 0 else s.stalls end,
    finished_seq = finished, answer_seq = answered
  where x.space_id = p_space and x.session_id = p_session;
  status := 'appended';
end $$;

-- What the reconciler goes by, without an event. p_head: the head that was decided on; null writes whatever came since.
create function savefile.set_outlook(p_space text, p_session text, p_epoch bigint, p_head bigint, p_state text, p_due bigint)
returns void language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  due bigint := p_due;
begin
  perform set_config('synchronous_commit', 'off', true);
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := savefile.now_us(); end if;
  update savefile.sessions x set state = p_state, due_at = due, updated_at = case when due is distinct from x.due_at then savefile.now_us() else x.updated_at end
  where x.space_id = p_space and x.session_id = p_session and x.epoch = p_epoch and not x.closed and (p_head is null or x.head = p_head)
    and (x.state, x.due_at) is distinct from (p_state, due);
end $$;

-- A person's append: no lease, no expected head. p_subject: the call of an approval or of a deferred result.
create function savefile.input(
  p_space text, p_session text, p_actor text, p_key text, p_type text, p_v integer, p_subject text, p_payload text, p_definition text,
  out status text, out seq bigint, out head bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  e savefile.events;
  k text; h bytea; event_at bigint; body bytea := convert_to(p_payload, 'UTF8'); works boolean := p_type not in ('definition_changed', 'session_closed');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  k := case when p_type in ('message_received', 'definition_changed') then 'p:' || p_key
    when p_type in ('approval_resolved', 'tool_finished', 'session_closed') then savefile.structural_key(p_type, p_subject) end;
  if k is null then raise exception 'savefile: a person does not append %', p_type; end if;

  select * into e from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.key = k;
  if found then
    seq := e.seq;
    status := case when e.type = p_type and e.payload = body and (k like 'p:%' or e.actor = p_actor) then 'duplicate'
      when k like 'p:%' then 'idempotency_conflict'
      when p_type = 'session_closed' then 'closed' else 'already_resolved' end;
    return;
  end if;
  if s.closed then status := 'closed'; return; end if;

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
    closed = p_type = 'session_closed',
    definition = case when p_type = 'definition_changed' then p_definition else x.definition end,
    due_at = case when p_type = 'session_closed' then null when works then least(x.due_at, event_at) else x.due_at end,
    state = case when p_type = 'session_closed' then 'idle' when works and x.state = 'idle' then 'running' else x.state end
  where x.space_id = p_space and x.session_id = p_session;
  status := 'appended';
end $$;

-- A new session and its first event.
create function savefile.create_session(
  p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  at bigint := savefile.now_us();
  body bytea := convert_to(p_payload, 'UTF8');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  perform from savefile.definitions x where x.space_id = p_space and x.hash = p_definition;
  if not found then return 'definition_not_found'; end if;
  insert into savefile.sessions (space_id, session_id, created_at, title, labels, definition, updated_at, head, head_at, head_hash)
  values (p_space, p_session, at, p_title, p_labels, p_definition, at, 1, at,
    savefile.event_hash('', p_session, 1, 'session_created', p_v, at, p_actor, 'x:created', null, body))
  on conflict do nothing;
  if not found then return 'session_exists'; end if;
  insert into savefile.lineage (space_id, session_id, src, lo, hi) values (p_space, p_session, p_session, 1, 9223372036854775807);
  insert into savefile.session_definitions (space_id, session_id, seq, definition) values (p_space, p_session, 1, p_definition);
  perform savefile.add_event(p_space, p_session, 1, '', at, 'session_created', p_v, p_actor, 'x:created', body);
  return 'created';
end $$;

-- A session that shares its parent's events 1..p_seq without copying them: the cost does not depend on p_seq.
-- The parent needs no lock: what is committed there never changes.
create function savefile.fork_session(
  p_space text, p_parent text, p_seq bigint, p_hash bytea, p_child text, p_actor text, p_definition text, p_title text, p_v integer, p_payload text
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
    (space_id, session_id, created_at, parent_id, fork_seq, title, definition, updated_at, head, head_at, head_hash, state, due_at)
  values (p_space, p_child, at, p_parent, p_seq, p_title, p_definition, at, seq, at, h, 'running', at)
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
