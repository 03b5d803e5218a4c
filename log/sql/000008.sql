-- The same appends for less: what an append cost beside its INSERTs was most of it.

-- The identity of an event, unchanged (test/log/hash-vectors.json). STABLE, as convert_to is: the planner then puts the expression in place
-- of the call, which it does not where a function promises more than its body.
create or replace function savefile.event_hash(
  prev_hash bytea, session_id text, seq bigint, type text, v integer, at bigint, actor text, key text, kid text, payload bytea
) returns bytea language sql stable parallel safe as $$
  select sha256(
    '\x0000000a7361766566696c652f31'::bytea
    || int4send(octet_length(prev_hash)) || prev_hash
    || int4send(octet_length(session_id)) || convert_to(session_id, 'UTF8')
    || int4send(octet_length(seq::text)) || convert_to(seq::text, 'UTF8')
    || int4send(octet_length(type)) || convert_to(type, 'UTF8')
    || int4send(octet_length(v::text)) || convert_to(v::text, 'UTF8')
    || int4send(octet_length(at::text)) || convert_to(at::text, 'UTF8')
    || int4send(octet_length(actor)) || convert_to(actor, 'UTF8')
    || int4send(octet_length(key)) || convert_to(key, 'UTF8')
    || int4send(octet_length(coalesce(kid, ''))) || convert_to(coalesce(kid, ''), 'UTF8')
    || '\x00000020'::bytea || sha256(payload))
$$;

-- Inserts one event. Whoever calls it holds the session's row.
create or replace function savefile.add_event(
  p_space text, p_session text, p_seq bigint, p_prev bytea, p_at bigint, p_type text, p_v integer, p_actor text, p_key text, p_payload bytea
) returns bytea language plpgsql as $$
declare
  h bytea;
begin
  insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
  values (p_space, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, null, p_payload, p_prev,
    savefile.event_hash(p_prev, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, null, p_payload))
  returning hash into h;
  return h;
end $$;

-- Seq + 0: found by the key and nothing else. A plan made while the tables were small would walk the stretch from lo to hi.
create or replace function savefile.lineage_seq(p_space text, p_session text, p_key text) returns bigint language plpgsql stable as $$
begin
  return (
    select e.seq
    from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = p_key and e.seq + 0 between l.lo and l.hi
    where l.space_id = p_space and l.session_id = p_session
    limit 1);
end $$;

-- As before (000002.sql), but many events are looked up in one statement and inserted in one: half of what each of a hundred cost. A few,
-- as a step appends them, cost less one by one.
create or replace function savefile.append(
  p_space text, p_session text, p_epoch bigint, p_head bigint,
  p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[],
  p_state text, p_due bigint,
  out status text, out head bigint, out seqs bigint[]
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  d savefile.drafts;
  k text; h bytea; stored bigint; body bytea; version integer; actor text; answer_of text;
  now_at bigint; event_at bigint; finished bigint; answered bigint; due bigint := p_due; n integer := coalesce(array_length(p_types, 1), 0);
  many boolean := n > 8;
  -- Of many: the keys of all and the seqs of those that the log has; then the columns of those that it has not.
  ks text[]; known bigint[];
  types text[] := '{}'; versions integer[] := '{}'; actors text[] := '{}'; keys text[] := '{}'; bodies bytea[] := '{}'; prevs bytea[] := '{}'; hashes bytea[] := '{}';
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
  if many then
    select array_agg(w.key order by w.i), array_agg(w.seq order by w.i) into ks, known from (
      select u.i, u.key, case
        when u.type in ('approval_requested', 'tool_started', 'tool_finished') then (
          select e.seq
          from savefile.lineage l
          join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = u.key and e.seq + 0 between l.lo and l.hi
          where l.space_id = p_space and l.session_id = p_session
          limit 1)
        else (select e.seq from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = u.key) end as seq
      from (
        select v.i, v.type, savefile.structural_key(v.type, case when v.type = 'result_arrived_late' then v.subject || ':' || v.draft else v.subject end) as key
        from unnest(p_types, p_subjects, p_drafts) with ordinality v (type, subject, draft, i) offset 0) u) w;
  end if;
  for i in 1 .. n loop
    if many then
      k := ks[i];
      stored := coalesce(known[i], s.head + array_position(keys, k));
    else
      k := savefile.structural_key(p_types[i], case when p_types[i] = 'result_arrived_late' then p_subjects[i] || ':' || p_drafts[i] else p_subjects[i] end);
      if p_types[i] in ('approval_requested', 'tool_started', 'tool_finished') then
        stored := savefile.lineage_seq(p_space, p_session, k);
      else
        stored := savefile.own_seq(p_space, p_session, k);
      end if;
    end if;
    if k is null or p_types[i] in ('session_created', 'forked') then
      raise exception 'savefile: an executor does not append %', p_types[i];
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
      stored := head;
      actor := case when p_types[i] in ('model_answered', 'model_failed') then 'agent'
        when p_types[i] in ('tool_finished', 'result_arrived_late') then 'tool:' || p_tools[i] else 'system' end;
      if many then
        prevs := prevs || h;
        h := savefile.event_hash(h, p_session, head, p_types[i], version, event_at, actor, k, null, body);
        hashes := hashes || h;
        types := types || p_types[i];
        versions := versions || version;
        actors := actors || actor;
        keys := keys || k;
        bodies := bodies || body;
      else
        h := savefile.add_event(p_space, p_session, head, h, event_at, p_types[i], version, actor, k, body);
      end if;
      if p_types[i] = 'turn_finished' then finished := head; end if;
      if p_types[i] in ('model_answered', 'model_failed') then
        answered := head;
        answer_of := p_subjects[i];
      end if;
    end if;
    if p_types[i] = 'result_arrived_late' then
      delete from savefile.evidence x where x.space_id = p_space and x.session_id = p_session and x.call = p_subjects[i] and x.token = p_drafts[i];
    end if;
    seqs := seqs || stored;
  end loop;

  if many and head > s.head then
    insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
    select p_space, p_session, s.head + u.i, u.type, u.v, event_at, u.actor, u.key, null, u.payload, u.prev_hash, u.hash
    from unnest(types, versions, actors, keys, bodies, prevs, hashes) with ordinality u (type, v, actor, key, payload, prev_hash, hash, i);
  end if;
  -- Live text stays until the next answer of its session, so that who reads it sees its end.
  if answer_of is not null then
    delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> answer_of;
  end if;

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
