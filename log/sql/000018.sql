-- L12 where the planner is wrong about the log: each takes the index that it means, with or without statistics. `offset 0` keeps a subquery
-- as one look by index for each row outside; as a join, it may become a pass over all drafts, or over all of a session by another index.

create or replace function savefile.read_events(p_space text, p_session text, p_from bigint, p_to bigint, p_bytes bigint)
returns table (seq bigint, session_id text, type text, v integer, at bigint, actor text, key text, kid text, payload text, prev_hash text, hash text)
language plpgsql stable security invoker set search_path = pg_catalog, savefile, pg_temp as $$
begin
  return query
    select q.seq, q.session_id, q.type, q.v, q.at, q.actor, q.key, q.kid, convert_from(q.payload, 'UTF8'), encode(q.prev_hash, 'hex'), encode(q.hash, 'hex')
    from (
      select e.*, sum(octet_length(e.payload)) over (order by e.seq) - octet_length(e.payload) as before
      from savefile.lineage l
      -- In the order of the index by seq, so that no other costs as little.
      cross join lateral (
        select x.* from savefile.events x
        where x.space_id = p_space and x.session_id = l.src and x.seq between greatest(l.lo, p_from) and least(l.hi, p_to)
        order by x.seq offset 0) e
      where l.space_id = p_space and l.session_id = p_session and l.lo <= p_to and l.hi >= p_from) q
    where q.before < p_bytes
    order by q.seq;
end $$;

create or replace function savefile.look(p_space text, p_session text, p_epoch bigint, p_after bigint, p_reducer integer, p_ttl bigint)
returns table (kind text, seq bigint, at bigint, n bigint, a text, b text, c text, d text, e text, f text, g text, body text)
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  snap record;
  after bigint := p_after;
  now_at bigint := savefile.now_us();
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
  if not found then kind := 'x'; a := 'session_not_found'; return next; return; end if;
  if s.epoch <> p_epoch then kind := 'x'; a := 'stale_epoch'; return next; return; end if;
  kind := 's'; seq := s.head; at := now_at; n := s.due_at; a := s.state;
  return next;
  if after is null then
    select y.seq, y.state into snap from savefile.lineage l
    cross join lateral (
      select z.seq, z.state from savefile.snapshots z
      where z.space_id = l.space_id and z.session_id = l.src and z.reducer_version = p_reducer and z.seq between l.lo and l.hi
      order by z.seq desc limit 1) y
    where l.space_id = p_space and l.session_id = p_session
    order by y.seq desc limit 1;
    after := 0;
    if found then
      after := snap.seq;
      return query select 'p', snap.seq, null::bigint, null::bigint, null, null, null, null, null, null, null, snap.state;
    end if;
  end if;
  if after < s.head then
    return query
      select 'e', v.seq, v.at, v.v::bigint, v.type, v.actor, v.key, v.kid, v.session_id, encode(v.prev_hash, 'hex'), encode(v.hash, 'hex'), convert_from(v.payload, 'UTF8')
      from savefile.lineage l
      cross join lateral (
        select z.* from savefile.events z
        where z.space_id = p_space and z.session_id = l.src and z.seq between greatest(l.lo, after + 1) and least(l.hi, s.head)
        order by z.seq offset 0) v
      where l.space_id = p_space and l.session_id = p_session and l.hi > after
      order by v.seq;
  end if;
  return query
    select 'd', r.attempt::bigint, null::bigint, r.epoch, r.step, r.state, r.token, r.outcome, r.type,
      case when r.beat_at > now_at - p_ttl then 'fresh' else 'silent' end, null, convert_from(r.payload, 'UTF8')
    from savefile.drafts r
    where r.space_id = p_space and r.session_id = p_session and r.born >= s.answer_seq
      and not exists (
        select from savefile.events v where v.space_id = p_space and v.session_id = p_session
          and v.key = case when r.step like 'tool@%' then 'x:result:' || substr(r.step, 6) else 'x:' || r.step end);
  return query
    select 'l', null::bigint, null::bigint, null::bigint, v.call, v.token, null, null, null, null, null, convert_from(v.payload, 'UTF8')
    from savefile.evidence v where v.space_id = p_space and v.session_id = p_session;
end $$;

-- Each by its key: joined with those that are due, the update may be a pass over all sessions.
create or replace function savefile.take_due(p_limit integer, p_again bigint, p_ttl bigint)
returns table (space_id text, session_id text, stalls integer)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  now_at bigint := savefile.now_us();
begin
  for space_id, session_id in
    select s.space_id, s.session_id from savefile.sessions s
    where s.due_at <= now_at and not exists (
      select from savefile.drafts r
      where r.space_id = s.space_id and r.session_id = s.session_id and r.born >= s.answer_seq and r.state = 'running' and r.beat_at > now_at - p_ttl
      offset 0)
    order by s.due_at limit p_limit for no key update of s skip locked
  loop
    update savefile.sessions s set due_at = now_at + p_again, stalls = s.stalls + 1
    where s.space_id = take_due.space_id and s.session_id = take_due.session_id
    returning s.stalls into stalls;
    return next;
  end loop;
end $$;

create or replace function savefile.sweep(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s record;
  n integer; total integer := 0;
begin
  for s in select * from savefile.sessions x where x.sweep_to is not null order by x.space_id, x.session_id limit 100 for no key update skip locked loop
    delete from savefile.drafts x where x.ctid = any (array(
      select y.ctid from savefile.drafts y
      where y.space_id = s.space_id and y.session_id = s.session_id and y.born < s.sweep_to
      order by y.born limit p_limit - total));
    get diagnostics n = row_count;
    total := total + n;
    exit when total >= p_limit;
    update savefile.sessions x set sweep_to = null where x.space_id = s.space_id and x.session_id = s.session_id;
  end loop;
  for s in
    with recursive streaming as (
      (select x.space_id, x.session_id from savefile.draft_deltas x order by x.space_id, x.session_id limit 1)
      union all
      select h.space_id, h.session_id from streaming t
      cross join lateral (
        select x.space_id, x.session_id from savefile.draft_deltas x
        where (x.space_id, x.session_id) > (t.space_id, t.session_id) order by x.space_id, x.session_id limit 1) h
    )
    select t.space_id, t.session_id, y.answer_seq from streaming t
    cross join lateral (select y.state, y.answer_seq from savefile.sessions y where y.space_id = t.space_id and y.session_id = t.session_id offset 0) y
    where y.state = 'idle' limit 100
  loop
    -- A step that began since the look keeps its text. What runs was born since the last answer: by either index a few rows are read.
    delete from savefile.draft_deltas x where x.space_id = s.space_id and x.session_id = s.session_id and not exists (
      select from savefile.drafts r
      where r.space_id = x.space_id and r.session_id = x.session_id and r.step = x.step and r.token = x.token and r.born >= s.answer_seq and r.state = 'running'
      offset 0);
  end loop;
  return total;
end $$;
