-- What an append costs. Every statement, every condition that is planned with one, every row trigger and every CHECK (parsed from its stored
-- text with every statement) was a part of it that an INSERT does not have: one event is a lock, an INSERT and an UPDATE now, many events, or
-- many calls, are one statement.

-- Sessions are found by their key, listed by this index. Where a plan was made while there were few, it found them by this one all the same,
-- walking every version of every session of the space: appends fell to a quarter until the table was analysed. A plan may use a partial
-- index only where the query has its condition, which is true of all.
drop index savefile.sessions_listed;
create index sessions_listed on savefile.sessions (space_id, updated_at desc, session_id desc) where created_at >= 0;

-- Of what an append writes with every event, the functions see to it themselves: nobody else may write.
drop trigger custody on savefile.sessions;
drop function savefile.refuse_to_extend();
alter table savefile.sessions drop constraint sessions_state, drop constraint sessions_custody;

create function savefile.refuse_to_extend(p_session text, p_custody text) returns void language plpgsql as $$
begin
  raise exception 'savefile: session % is %, and takes no event until it is adopted', p_session, p_custody
    using errcode = 'object_not_in_prerequisite_state';
end $$;

create function savefile.check_state(p_state text) returns void language plpgsql as $$
begin
  if p_state is null or p_state not in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked') then
    raise exception 'savefile: a session is not %', p_state using errcode = 'check_violation';
  end if;
end $$;

-- As in 000005.sql, as one expression that its callers' plans take in.
create or replace function savefile.structural_key(p_type text, p_subject text) returns text language sql immutable as $$
  select ('{x:created,x:forked,x:closed,x:,x:,x:request:,x:approval:,x:started:,x:result:,x:late:,x:interrupted:,x:finished:,x:,x:child:,x:child_finished:,x:custody:,x:granted:,x:revoked:,x:key_destroyed:}'::text[])[
      array_position('{session_created,forked,session_closed,model_answered,model_failed,approval_requested,approval_resolved,tool_started,tool_finished,result_arrived_late,interrupted,turn_finished,checkpoint_made,child_started,child_finished,custody_taken,granted,revoked,key_destroyed}'::text[], p_type)]
    || case when p_type in ('session_created', 'forked', 'session_closed') then '' else p_subject end
$$;

-- What an event's hash is of, behind the hash before: event_hash, of which the chain of many takes its links.
create function savefile.event_rest(session_id text, seq bigint, type text, v integer, at bigint, actor text, key text, kid text, payload bytea)
returns bytea language sql stable parallel safe as $$
  select int4send(octet_length(session_id)) || convert_to(session_id, 'UTF8')
    || int4send(octet_length(seq::text)) || convert_to(seq::text, 'UTF8')
    || int4send(octet_length(type)) || convert_to(type, 'UTF8')
    || int4send(octet_length(v::text)) || convert_to(v::text, 'UTF8')
    || int4send(octet_length(at::text)) || convert_to(at::text, 'UTF8')
    || int4send(octet_length(actor)) || convert_to(actor, 'UTF8')
    || int4send(octet_length(key)) || convert_to(key, 'UTF8')
    || int4send(octet_length(coalesce(kid, ''))) || convert_to(coalesce(kid, ''), 'UTF8')
    || '\x00000020'::bytea || sha256(payload)
$$;
-- The hashes of events that follow each other, the first behind `p_prev`, which is there.
create function savefile.chain(p_prev bytea, p_rests bytea[]) returns bytea[] language plpgsql immutable as $$
declare
  h bytea := p_prev;
  rest bytea;
  hashes bytea[] := '{}';
begin
  foreach rest in array p_rests loop
    h := sha256('\x0000000a7361766566696c652f3100000020'::bytea || h || rest);
    hashes := hashes || h;
  end loop;
  return hashes;
end $$;

-- As in 000019.sql; and: nothing is added to what is not live but the custody of it.
create or replace function savefile.add_event(
  p_space text, p_session text, p_seq bigint, p_prev bytea, p_at bigint, p_type text, p_v integer, p_actor text, p_key text, p_payload bytea
) returns bytea language plpgsql as $$
declare
  h bytea;
  sealed text; own text; held text;
begin
  if substring(p_payload from 1 for 7) = 'sealed:'::bytea then sealed := savefile.sealed_kid(p_payload); end if;
  if p_type not in ('session_created', 'forked') then
    select x.kid, x.custody into own, held from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
    if held in ('inert', 'stub') and p_type <> 'custody_taken' then perform savefile.refuse_to_extend(p_session, held); end if;
    if sealed is distinct from own and (sealed is not null or p_type not in ('granted', 'revoked', 'custody_taken', 'session_closed', 'key_destroyed')) then
      perform savefile.refuse_clear(p_session);
    end if;
  elsif sealed is not null then
    perform from savefile.session_keys x where x.space_id = p_space and x.kid = sealed and x.session_id = p_session and x.wrapped is not null;
    if not found then perform savefile.refuse_clear(p_session); end if;
  end if;
  insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
  values (p_space, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, sealed, p_payload, p_prev,
    savefile.event_hash(p_prev, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, sealed, p_payload))
  returning hash into h;
  if sealed is not null and p_type in ('session_created', 'forked') then
    -- The row was made with the hash of an event in clear.
    update savefile.sessions x set kid = sealed, head_hash = h where x.space_id = p_space and x.session_id = p_session;
  end if;
  return h;
end $$;

-- Rule 3 for calls that are as they nearly always are: the row is free, epoch and head are as given, every event is new and brings its
-- payload, and something is due. One statement, however many calls and events; those that it did are named, the others are append's.
-- What is looked up as of the statement's begin is right where the head is the expected one: whoever expects it saw it committed.
create function savefile.append_all(
  p_spaces text[], p_sessions text[], p_epochs bigint[], p_heads bigint[], p_counts integer[], p_states text[], p_dues bigint[],
  p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[]
) returns table (n integer, head bigint) language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
  now_at bigint := savefile.now_us();
begin
  if cardinality(p_types) = cardinality(p_spaces) and p_counts = array_fill(1, array[cardinality(p_spaces)]) then
    return query
      with held as materialized (
        select c.i, c.space, c.session, c.head + 1 as seq, c.type, c.v, c.subject, c.key, c.actor, c.body, c.state, x.kid, x.head_hash as prev, x.at,
          case when c.state = 'running' and x.state = 'running' and x.due_at between now_at and c.due then x.due_at else c.due end as due_at,
          savefile.event_hash(x.head_hash, c.session, c.head + 1, c.type, c.v, x.at, c.actor, c.key, x.kid, c.body) as hash
        from (
          select u.*, convert_to(u.payload, 'UTF8') as body, savefile.structural_key(u.type, u.subject) as key,
            case when u.type in ('model_answered', 'model_failed') then 'agent' when u.type = 'tool_finished' then 'tool:' || u.tool else 'system' end as actor
          from unnest(p_spaces, p_sessions, p_epochs, p_heads, p_states, p_dues, p_types, p_vs, p_subjects, p_tools, p_payloads) with ordinality
            u (space, session, epoch, head, state, due, type, v, subject, tool, payload, i)
          where u.due is not null and u.type not in ('session_created', 'forked', 'result_arrived_late')
            and u.state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked') offset 0) c
        cross join lateral (
          select y.head_hash, greatest(now_at, y.head_at) as at, y.kid, y.state, y.due_at from savefile.sessions y
          where y.space_id = c.space and y.session_id = c.session and y.epoch = c.epoch and y.head = c.head and not y.closed and y.custody = 'live'
            and (y.fork_seq is null or c.type not in ('approval_requested', 'tool_started', 'tool_finished'))
          for no key update skip locked) x
        where c.key is not null and c.body is not null
          and x.kid is not distinct from case when substring(c.body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(c.body) end
          -- Not as "not exists", which a plan made while the table is small answers by reading all of it.
          and (select e.seq from savefile.events e where e.space_id = c.space and e.session_id = c.session and e.key = c.key) is null),
      added as (
        insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
        select h.space, h.session, h.seq, h.type, h.v, h.at, h.actor, h.key, h.kid, h.body, h.prev, h.hash from held h),
      -- Live text stays until the next answer of its session, so that who reads it sees its end.
      gone as (
        delete from savefile.draft_deltas x using held h
        where h.actor = 'agent' and x.space_id = h.space and x.session_id = h.session and x.step <> h.subject)
      update savefile.sessions x set
        state = h.state, due_at = h.due_at, owner_seen_at = now_at, head = h.seq, head_hash = h.hash, head_at = h.at, stalls = 0,
        updated_at = case when h.due_at is distinct from x.due_at then h.at else x.updated_at end,
        finished_seq = case when h.type = 'turn_finished' then h.seq else x.finished_seq end,
        answer_seq = case when h.actor = 'agent' then h.seq else x.answer_seq end
      from held h
      where x.space_id = h.space and x.session_id = h.session and x.head = h.seq - 1
      returning h.i::integer, x.head;
    return;
  end if;
  return query
    with calls as materialized (
      select c.*, sum(c.count) over (order by c.i) - c.count as before, row_number() over (partition by c.space, c.session order by c.i) as turn
      from unnest(p_spaces, p_sessions, p_epochs, p_heads, p_counts, p_states, p_dues) with ordinality c (space, session, epoch, head, count, state, due, i)),
    held as materialized (
      select c.*, x.head_hash, greatest(now_at, x.head_at) as at, x.kid, x.fork_seq is not null as forked,
        case when c.state = 'running' and x.state = 'running' and x.due_at between now_at and c.due then x.due_at else c.due end as due_at,
        case when x.due_at is distinct from case when c.state = 'running' and x.state = 'running' and x.due_at between now_at and c.due then x.due_at else c.due end
          then greatest(now_at, x.head_at) else x.updated_at end as updated_at,
        x.finished_seq, x.answer_seq
      from calls c cross join lateral (
        select * from savefile.sessions y
        where y.space_id = c.space and y.session_id = c.session and y.epoch = c.epoch and y.head = c.head and not y.closed and y.custody = 'live'
        for no key update skip locked) x
      where c.turn = 1 and c.due is not null
        and c.state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked')),
    given as materialized (
      select h.i, a.j - h.before as j, h.head + a.j - h.before as seq, a.type, a.v, a.subject, convert_to(a.payload, 'UTF8') as body,
        case when a.type in ('model_answered', 'model_failed') then 'agent' when a.type = 'tool_finished' then 'tool:' || a.tool else 'system' end as actor,
        savefile.structural_key(a.type, a.subject) as key
      from held h
      join unnest(p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts) with ordinality a (type, v, subject, tool, payload, draft, j)
        on a.j between h.before + 1 and h.before + h.count),
    chained as materialized (
      select h.*, g.finished, g.answered, g.answer_of, savefile.chain(h.head_hash, g.rests) as hashes
      from held h join (
        select g.i, max(g.seq) filter (where g.type = 'turn_finished') as finished,
          max(g.seq) filter (where g.type in ('model_answered', 'model_failed')) as answered,
          (array_agg(g.subject order by g.j desc) filter (where g.type in ('model_answered', 'model_failed')))[1] as answer_of,
          array_agg(savefile.event_rest(h.session, g.seq, g.type, g.v, h.at, g.actor, g.key, h.kid, g.body) order by g.j) as rests
        from given g join held h on h.i = g.i
        group by g.i
        having count(g.key) = count(distinct g.key) and bool_and(
          g.key is not null and g.body is not null and g.type not in ('session_created', 'forked', 'result_arrived_late')
          and h.kid is not distinct from case when substring(g.body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(g.body) end
          and case when h.forked and g.type in ('approval_requested', 'tool_started', 'tool_finished') then (
              select e.seq from savefile.lineage l
              cross join lateral (select y.seq from savefile.events y where y.space_id = l.space_id and y.session_id = l.src and y.key = g.key offset 0) e
              where l.space_id = h.space and l.session_id = h.session and e.seq between l.lo and l.hi limit 1)
            else (select e.seq from savefile.events e where e.space_id = h.space and e.session_id = h.session and e.key = g.key) end is null)) g on g.i = h.i),
    added as (
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      select c.space, c.session, g.seq, g.type, g.v, c.at, g.actor, g.key, c.kid, g.body,
        case g.j when 1 then c.head_hash else c.hashes[g.j - 1] end, c.hashes[g.j]
      from chained c join given g on g.i = c.i),
    -- Live text stays until the next answer of its session, so that who reads it sees its end.
    gone as (
      delete from savefile.draft_deltas x using chained c
      where c.answer_of is not null and x.space_id = c.space and x.session_id = c.session and x.step <> c.answer_of)
    update savefile.sessions x set
      state = c.state, due_at = c.due_at, owner_seen_at = now_at, head = c.head + c.count, head_hash = c.hashes[c.count], head_at = c.at,
      updated_at = c.updated_at, stalls = 0, finished_seq = coalesce(c.finished, c.finished_seq), answer_seq = coalesce(c.answered, c.answer_seq)
    from chained c
    where x.space_id = c.space and x.session_id = c.session and x.head = c.head
    returning c.i::integer, x.head;
end $$;

-- Rule 3.
create or replace function savefile.append(
  p_space text, p_session text, p_epoch bigint, p_head bigint, p_types text[], p_vs integer[], p_subjects text[], p_tools text[],
  p_payloads text[], p_drafts text[], p_state text, p_due bigint, out status text, out head bigint, out seqs bigint[]
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  n integer := coalesce(array_length(p_types, 1), 0);
  -- Of the first event: it is looked up with the row's lock, as of the begin of the statement. Where the head is the expected one, that is right.
  k text := savefile.structural_key(p_types[1], case when p_types[1] = 'result_arrived_late' then p_subjects[1] || ':' || p_drafts[1] else p_subjects[1] end);
  s_epoch bigint; s_closed boolean; s_custody text; s_kid text; s_forked boolean; s_state text; s_due bigint; s_head_at bigint;
  h bytea; prev bytea; stored bigint; body bytea; version integer; who text; sealed text; answer_of text;
  now_at bigint; event_at bigint; finished bigint; answered bigint; due bigint := p_due; moved boolean := false;
begin
  if n > 8 then
    select a.head into head from savefile.append_all(array[p_space], array[p_session], array[p_epoch], array[p_head], array[n], array[p_state], array[p_due],
      p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts) a;
    if found then
      status := 'appended';
      seqs := array(select generate_series(p_head + 1, append.head));
      return;
    end if;
  end if;
  select x.head, x.head_hash, x.head_at, x.epoch, x.closed, x.custody, x.kid, x.fork_seq is not null, x.state, x.due_at, x.finished_seq, x.answer_seq,
      (select e.seq from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = k)
    into head, h, s_head_at, s_epoch, s_closed, s_custody, s_kid, s_forked, s_state, s_due, finished, answered, stored
  from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if head is null then status := 'session_not_found'; return; end if;
  if s_closed then status := 'closed'; return; end if;
  if s_epoch <> p_epoch then status := 'stale_epoch'; return; end if;
  if head <> p_head then status := 'head_moved'; return; end if;
  if s_custody in ('inert', 'stub') and n > 0 then perform savefile.refuse_to_extend(p_session, s_custody); end if;
  if p_state <> 'running' then perform savefile.check_state(p_state); end if;

  now_at := savefile.now_us();
  event_at := greatest(now_at, s_head_at);
  for i in 1 .. n loop
    if i > 1 then
      k := savefile.structural_key(p_types[i], case when p_types[i] = 'result_arrived_late' then p_subjects[i] || ':' || p_drafts[i] else p_subjects[i] end);
      stored := savefile.own_seq(p_space, p_session, k);
    end if;
    if k is null or p_types[i] in ('session_created', 'forked') then
      raise exception 'savefile: an executor does not append %', p_types[i];
    end if;
    if s_forked and stored is null and p_types[i] in ('approval_requested', 'tool_started', 'tool_finished') then
      stored := savefile.lineage_seq(p_space, p_session, k);
    end if;
    if stored is null then
      body := convert_to(p_payloads[i], 'UTF8');
      version := p_vs[i];
      if body is null then
        select x.payload, x.v into body, version from savefile.drafts x
        where x.space_id = p_space and x.session_id = p_session and x.step = p_drafts[i] and x.state = 'finished' and x.type = p_types[i];
        if not found then raise exception 'savefile: no finished draft % of type %', p_drafts[i], p_types[i]; end if;
      end if;
      who := case when p_types[i] in ('model_answered', 'model_failed') then 'agent'
        when p_types[i] in ('tool_finished', 'result_arrived_late') then 'tool:' || p_tools[i] else 'system' end;
      sealed := case when substring(body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(body) end;
      if sealed is distinct from s_kid and (sealed is not null or p_types[i] <> 'session_closed') then perform savefile.refuse_clear(p_session); end if;
      head := head + 1;
      moved := true;
      stored := head;
      prev := h;
      h := savefile.event_hash(prev, p_session, head, p_types[i], version, event_at, who, k, sealed, body);
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      values (p_space, p_session, append.head, p_types[i], version, event_at, who, k, sealed, body, prev, h);
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

  -- Live text stays until the next answer of its session, so that who reads it sees its end.
  if answer_of is not null then
    delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> answer_of;
  end if;

  -- While a run goes on, due_at is its alarm: it is moved only once it rang, since every move costs the row's place in two indexes.
  if p_state = 'running' and s_state = 'running' and s_due between now_at and p_due then due := s_due; end if;
  -- Evidence that came after the executor's look is work that it does not know of.
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := now_at; end if;
  update savefile.sessions x set
    state = p_state, due_at = due, owner_seen_at = now_at, head = append.head, head_hash = h,
    head_at = case when moved then event_at else s_head_at end,
    updated_at = case when due is distinct from s_due then event_at else x.updated_at end,
    stalls = case when moved then 0 else x.stalls end,
    finished_seq = finished, answer_seq = answered
  where x.space_id = p_space and x.session_id = p_session;
  seqs := coalesce(seqs, '{}');
  status := 'appended';
end $$;

-- One event that brings its payload. What is new and decided on the head that is there, by the epoch that counts, goes in by what was read,
-- if the row is still as it was read; all else is append's. Each statement less, and each expression, is a twentieth of an append.
create function savefile.append_one(
  p_space text, p_session text, p_epoch bigint, p_head bigint, p_type text, p_v integer, p_subject text, p_tool text, p_payload text, p_state text, p_due bigint,
  out status text, out head bigint, out seqs bigint[]
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  body bytea := convert_to(p_payload, 'UTF8');
  k text := savefile.structural_key(p_type, p_subject);
  who text := case when p_type in ('model_answered', 'model_failed') then 'agent' when p_type = 'tool_finished' then 'tool:' || p_tool else 'system' end;
  now_at bigint := savefile.now_us();
  version xid; h bytea; prev bytea; kid text; event_at bigint; due bigint; next bigint := p_head + 1;
begin
  select x.xmin, x.head_hash, x.kid, greatest(x.head_at, now_at),
      case when p_state = 'running' and x.state = 'running' and x.due_at between now_at and p_due then x.due_at else p_due end,
      savefile.event_hash(x.head_hash, p_session, next, p_type, p_v, greatest(x.head_at, now_at), who, k, x.kid, body)
    into version, prev, kid, event_at, due, h
  from savefile.sessions x
  where x.space_id = p_space and x.session_id = p_session and x.epoch = p_epoch and x.head = p_head and not x.closed and x.custody = 'live'
    and p_due is not null and p_state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked')
    and p_type not in ('session_created', 'forked', 'result_arrived_late')
    and (x.fork_seq is null or p_type not in ('approval_requested', 'tool_started', 'tool_finished'))
    and x.kid is not distinct from case when substring(body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(body) end
    and not exists (select from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = k);
  if h is not null then
    update savefile.sessions x set
      state = p_state, due_at = due, owner_seen_at = now_at, head = next, head_hash = h, head_at = event_at, stalls = 0,
      updated_at = case when due is distinct from x.due_at then event_at else x.updated_at end,
      finished_seq = case when p_type = 'turn_finished' then next else x.finished_seq end,
      answer_seq = case when who = 'agent' then next else x.answer_seq end
    where x.space_id = p_space and x.session_id = p_session and x.xmin = version;
    if found then
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      values (p_space, p_session, next, p_type, p_v, event_at, who, k, kid, body, prev, h);
      -- Live text stays until the next answer of its session, so that who reads it sees its end.
      if who = 'agent' then
        delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> p_subject;
      end if;
      status := 'appended'; head := next; seqs := array[next];
      return;
    end if;
  end if;
  select a.status, a.head, a.seqs into status, head, seqs
  from savefile.append(p_space, p_session, p_epoch, p_head, array[p_type], array[p_v], array[p_subject], array[p_tool], array[p_payload], array[null::text], p_state, p_due) a;
end $$;

create or replace function savefile.append_many(
  p_spaces text[], p_sessions text[], p_epochs bigint[], p_heads bigint[], p_counts integer[], p_states text[], p_dues bigint[],
  p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[]
) returns table (n integer, status text, head bigint, seqs bigint[]) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  a integer := 1; z integer;
  heads bigint[] := '{}';
begin
  for n, head in select * from savefile.append_all(p_spaces, p_sessions, p_epochs, p_heads, p_counts, p_states, p_dues, p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts) loop
    heads[n] := head;
  end loop;
  for i in 1 .. cardinality(p_spaces) loop
    n := i; head := heads[i]; seqs := null; z := a + p_counts[i] - 1;
    if head is not null then
      status := 'appended';
      seqs := array(select generate_series(p_heads[i] + 1, append_many.head));
    elsif savefile.is_busy(p_spaces[i], p_sessions[i]) then status := 'busy';
    else
      select r.status, r.head, r.seqs into status, head, seqs
      from savefile.append(p_spaces[i], p_sessions[i], p_epochs[i], p_heads[i],
        p_types[a:z], p_vs[a:z], p_subjects[a:z], p_tools[a:z], p_payloads[a:z], p_drafts[a:z], p_states[i], p_dues[i]) r;
    end if;
    a := z + 1;
    return next;
  end loop;
end $$;

-- Rule 4. `p_key` is the client's; what it becomes is decided here. A message that nobody sent before goes in by what was read, if the row is
-- still as it was read; all else behind the row's lock, as in 000019.sql.
create or replace function savefile.input(
  p_space text, p_session text, p_actor text, p_key text, p_type text, p_v integer, p_subject text, p_payload text, p_definition text,
  out status text, out seq bigint, out head bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  e savefile.events;
  version xid; k text; h bytea; prev bytea; sealed text; event_at bigint; now_at bigint;
  body bytea := convert_to(p_payload, 'UTF8');
  works boolean := p_type not in ('definition_changed', 'session_closed', 'result_arrived_late', 'checkpoint_made');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  if p_type = 'message_received' then
    now_at := savefile.now_us();
    k := 'p:' || p_key;
    select x.xmin, x.head + 1, x.head_hash, x.kid, greatest(x.head_at, now_at),
        savefile.event_hash(x.head_hash, p_session, x.head + 1, p_type, p_v, greatest(x.head_at, now_at), p_actor, k, x.kid, body)
      into version, seq, prev, sealed, event_at, h
    from savefile.sessions x
    where x.space_id = p_space and x.session_id = p_session and not x.closed and x.custody = 'live'
      and x.kid is not distinct from case when substring(body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(body) end
      and not exists (select from savefile.events y where y.space_id = p_space and y.session_id = p_session and y.key = k);
    if h is not null then
      update savefile.sessions x set
        head = input.seq, head_hash = h, head_at = event_at, updated_at = event_at, due_at = least(x.due_at, event_at),
        state = case when x.state = 'idle' then 'running' else x.state end
      where x.space_id = p_space and x.session_id = p_session and x.xmin = version;
      if found then
        insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
        values (p_space, p_session, input.seq, p_type, p_v, event_at, p_actor, k, sealed, body, prev, h);
        status := 'appended'; head := seq;
        return;
      end if;
    end if;
    seq := null;
  end if;

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

-- Messages that nobody sent before, to sessions whose rows are free: as append_all, for people. The head as it was when the statement began
-- says whether what it looked up then still holds.
create function savefile.input_all(p_spaces text[], p_sessions text[], p_actors text[], p_keys text[], p_types text[], p_vs integer[], p_payloads text[])
returns table (n integer, seq bigint) language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
  now_at bigint := savefile.now_us();
begin
  return query
    with calls as materialized (
      select c.i, c.space, c.session, c.actor, 'p:' || c.key as key, c.v, convert_to(c.payload, 'UTF8') as body,
        row_number() over (partition by c.space, c.session order by c.i) as turn
      from unnest(p_spaces, p_sessions, p_actors, p_keys, p_types, p_vs, p_payloads) with ordinality c (space, session, actor, key, type, v, payload, i)
      where c.type = 'message_received' and c.actor like 'user:_%'),
    held as materialized (
      select c.*, x.head + 1 as seq, x.head_hash as prev, x.kid, greatest(now_at, x.head_at) as at
      from calls c
      cross join lateral (
        select * from savefile.sessions y
        where y.space_id = c.space and y.session_id = c.session and not y.closed and y.custody = 'live' for no key update skip locked) x
      cross join lateral (select y.head from savefile.sessions y where y.space_id = c.space and y.session_id = c.session offset 0) seen
      where c.turn = 1 and seen.head = x.head and c.key is not null and c.body is not null
        and x.kid is not distinct from case when substring(c.body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(c.body) end
        -- Not as "not exists", which a plan made while the table is small answers by reading all of it.
        and (select e.seq from savefile.events e where e.space_id = c.space and e.session_id = c.session and e.key = c.key) is null),
    hashed as materialized (
      select h.*, savefile.event_hash(h.prev, h.session, h.seq, 'message_received', h.v, h.at, h.actor, h.key, h.kid, h.body) as hash from held h),
    added as (
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      select h.space, h.session, h.seq, 'message_received', h.v, h.at, h.actor, h.key, h.kid, h.body, h.prev, h.hash from hashed h)
    update savefile.sessions x set
      head = h.seq, head_hash = h.hash, head_at = h.at, updated_at = h.at, due_at = least(x.due_at, h.at),
      state = case when x.state = 'idle' then 'running' else x.state end
    from hashed h
    where x.space_id = h.space and x.session_id = h.session and x.head = h.seq - 1
    returning h.i::integer, h.seq;
end $$;

create or replace function savefile.input_many(
  p_spaces text[], p_sessions text[], p_actors text[], p_keys text[], p_types text[], p_vs integer[], p_subjects text[], p_payloads text[], p_definitions text[]
) returns table (n integer, status text, seq bigint, head bigint) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  seqs bigint[] := '{}';
begin
  for n, seq in select * from savefile.input_all(p_spaces, p_sessions, p_actors, p_keys, p_types, p_vs, p_payloads) loop
    seqs[n] := seq;
  end loop;
  for i in 1 .. cardinality(p_spaces) loop
    n := i; seq := seqs[i]; head := seq;
    if seq is not null then status := 'appended';
    elsif savefile.is_busy(p_spaces[i], p_sessions[i]) then status := 'busy';
    else
      select r.status, r.seq, r.head into status, seq, head
      from savefile.input(p_spaces[i], p_sessions[i], p_actors[i], p_keys[i], p_types[i], p_vs[i], p_subjects[i], p_payloads[i], p_definitions[i]) r;
    end if;
    return next;
  end loop;
end $$;

-- As in 000002.sql; and the state is one that there is.
create or replace function savefile.set_outlook(p_space text, p_session text, p_epoch bigint, p_head bigint, p_state text, p_due bigint)
returns void language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  due bigint := p_due;
begin
  perform savefile.check_state(p_state);
  perform set_config('synchronous_commit', 'off', true);
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := savefile.now_us(); end if;
  update savefile.sessions x set state = p_state, due_at = due, updated_at = case when due is distinct from x.due_at then savefile.now_us() else x.updated_at end
  where x.space_id = p_space and x.session_id = p_session and x.epoch = p_epoch and not x.closed and (p_head is null or x.head = p_head)
    and (x.state, x.due_at) is distinct from (p_state, due);
end $$;

revoke all on function savefile.append_one(text, text, bigint, bigint, text, integer, text, text, text, text, bigint), savefile.refuse_to_extend(text, text), savefile.check_state(text),
  savefile.event_rest(text, bigint, text, integer, bigint, text, text, text, bytea), savefile.chain(bytea, bytea[]),
  savefile.append_all(text[], text[], bigint[], bigint[], integer[], text[], bigint[], text[], integer[], text[], text[], text[], text[]),
  savefile.input_all(text[], text[], text[], text[], text[], integer[], text[]) from public;
grant execute on function savefile.append_one(text, text, bigint, bigint, text, integer, text, text, text, text, bigint) to savefile_writer;
