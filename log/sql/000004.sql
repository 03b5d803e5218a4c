-- Reading, and what is kept beside the log: snapshots, definitions, blobs, the live stream, what is due.

-- Everything an executor decides on, in one round trip and one database snapshot. Rows of several kinds share the columns:
--   x  a: session_not_found or stale_epoch
--   s  seq: head; at: the clock; n: due_at; a: state
--   p  seq; body: the snapshot's state
--   e  seq, at, n: v, a: type, b: actor, c: key, d: kid, e: session, f: prev_hash, g: hash, body: payload
--   d  seq: attempt, n: epoch, a: step, b: state, c: token, d: outcome, e: type, f: fresh or silent, body: payload
--   l  a: call, b: token, body: payload (evidence)
create function savefile.look(p_space text, p_session text, p_epoch bigint, p_after bigint, p_reducer integer, p_ttl bigint)
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
      join savefile.events v on v.space_id = l.space_id and v.session_id = l.src and v.seq between greatest(l.lo, after + 1) and least(l.hi, s.head)
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

-- Events p_from..p_to through the lineage, one page of at most p_bytes of payload (but at least one event). Seqs have no hole, so a range
-- is also a count. p_to may lie beyond the head.
create function savefile.read_events(p_space text, p_session text, p_from bigint, p_to bigint, p_bytes bigint)
returns table (seq bigint, session_id text, type text, v integer, at bigint, actor text, key text, kid text, payload text, prev_hash text, hash text)
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  return query
    select q.seq, q.session_id, q.type, q.v, q.at, q.actor, q.key, q.kid, convert_from(q.payload, 'UTF8'), encode(q.prev_hash, 'hex'), encode(q.hash, 'hex')
    from (
      select e.*, sum(octet_length(e.payload)) over (order by e.seq) - octet_length(e.payload) as before
      from savefile.lineage l
      join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq between greatest(l.lo, p_from) and least(l.hi, p_to)
      where l.space_id = p_space and l.session_id = p_session and l.lo <= p_to and l.hi >= p_from) q
    where q.before < p_bytes
    order by q.seq;
end $$;

-- The definition that a session ran under at a seq, through its lineage.
create function savefile.definition_at(p_space text, p_session text, p_seq bigint) returns text
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select y.definition from savefile.lineage l
  cross join lateral (
    select z.seq, z.definition from savefile.session_definitions z
    where z.space_id = l.space_id and z.session_id = l.src and z.seq between l.lo and least(l.hi, p_seq)
    order by z.seq desc limit 1) y
  where l.space_id = p_space and l.session_id = p_session
  order by y.seq desc limit 1
$$;

-- Disposable, so not waited for on disk.
create function savefile.save_snapshot(p_space text, p_session text, p_reducer integer, p_seq bigint, p_state text)
returns void language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into savefile.snapshots (space_id, session_id, reducer_version, seq, state) values (p_space, p_session, p_reducer, p_seq, p_state)
  on conflict do nothing;
end $$;

create function savefile.put_definition(p_space text, p_body text) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  bytes bytea := convert_to(p_body, 'UTF8');
  name text := 'sha256:' || encode(sha256(bytes), 'hex');
begin
  insert into savefile.definitions (space_id, hash, body) values (p_space, name, bytes) on conflict do nothing;
  return name;
end $$;

-- Null where the session does not exist.
create function savefile.put_blob(p_space text, p_session text, p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  name text := 'sha256:' || encode(sha256(p_content), 'hex');
begin
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for key share;
  if not found then return null; end if;
  insert into savefile.blobs (space_id, hash, media_type, created_at, content)
  values (p_space, name, p_media_type, savefile.now_us(), p_content) on conflict do nothing;
  insert into savefile.blob_refs (space_id, session_id, hash) values (p_space, p_session, name) on conflict do nothing;
  return name;
end $$;

-- Only where the session, or a log that it inherits from, refers to it.
create function savefile.get_blob(p_space text, p_session text, p_hash text) returns bytea
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select b.content from savefile.blobs b
  where b.space_id = p_space and b.hash = p_hash and exists (
    select from savefile.lineage l
    join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = p_hash
    where l.space_id = p_space and l.session_id = p_session)
$$;

create function savefile.write_deltas(p_spaces text[], p_sessions text[], p_steps text[], p_tokens text[], p_ns bigint[], p_kinds text[], p_bodies text[])
returns void language sql security definer set search_path = pg_catalog, savefile, pg_temp as $$
  insert into savefile.draft_deltas (space_id, session_id, step, token, n, kind, body)
  select * from unnest(p_spaces, p_sessions, p_steps, p_tokens, p_ns, p_kinds, p_bodies) on conflict do nothing
$$;

-- What was streamed since, of many sessions at once. The cursors (p_c*) say of each step and attempt up to which n the caller has it; a
-- step without one is read from its beginning. Steps of a session are found by hopping along the index, not by reading all deltas.
create function savefile.live_since(p_spaces text[], p_sessions text[], p_cspaces text[], p_csessions text[], p_csteps text[], p_ctokens text[], p_cns bigint[])
returns table (space_id text, session_id text, step text, token text, n bigint, kind text, body text)
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  return query
    with recursive streams as (
      select f.space_id, f.session_id, h.step, h.token from unnest(p_spaces, p_sessions) f (space_id, session_id)
      cross join lateral (
        select x.step, x.token from savefile.draft_deltas x
        where x.space_id = f.space_id and x.session_id = f.session_id order by x.step, x.token limit 1) h
      union all
      select t.space_id, t.session_id, h.step, h.token from streams t
      cross join lateral (
        select x.step, x.token from savefile.draft_deltas x
        where x.space_id = t.space_id and x.session_id = t.session_id and (x.step, x.token) > (t.step, t.token) order by x.step, x.token limit 1) h
    )
    select t.space_id, t.session_id, t.step, t.token, x.n, x.kind, x.body
    from (
      select s.*, coalesce(c.n, -1) as after from streams s
      left join unnest(p_cspaces, p_csessions, p_csteps, p_ctokens, p_cns) c (space_id, session_id, step, token, n) using (space_id, session_id, step, token)
    ) t
    -- OFFSET 0: one index scan a stream, however few rows the planner believes there are.
    cross join lateral (
      select y.n, y.kind, y.body from savefile.draft_deltas y
      where y.space_id = t.space_id and y.session_id = t.session_id and y.step = t.step and y.token = t.token and y.n > t.after
      order by y.n offset 0) x
    order by 1, 2, 3, 4, 5;
end $$;

-- Sessions that are due while log and beats stand still; they are due again after p_again, so that two reconcilers do not nudge at once.
create function savefile.take_due(p_limit integer, p_again bigint, p_ttl bigint)
returns table (space_id text, session_id text, stalls integer)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  now_at bigint := savefile.now_us();
begin
  return query
    with due as materialized (
      select s.space_id, s.session_id from savefile.sessions s
      where s.due_at <= now_at and not exists (
        select from savefile.drafts r
        where r.space_id = s.space_id and r.session_id = s.session_id and r.born >= s.answer_seq and r.state = 'running' and r.beat_at > now_at - p_ttl)
      order by s.due_at limit p_limit for no key update of s skip locked)
    update savefile.sessions s set due_at = now_at + p_again, stalls = s.stalls + 1
    from due d where s.space_id = d.space_id and s.session_id = d.session_id
    returning s.space_id, s.session_id, s.stalls;
end $$;
