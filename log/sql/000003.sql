-- Drafts and the lease (PROTOCOL.md rules 2 and 10 to 15). Every arrow is a compare-and-set. p_ttl: microseconds after which a silent
-- holder counts as gone, by this database's clock. Rows of steps that can still be open were born at or after the session's last answer,
-- so the ones that matter are found by drafts_born however long the turn is.

-- Rule 2, and two clusters on one log: from another cluster only a silent owner is replaced, or by force.
create function savefile.claim_session(
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

-- Rule 15 for what claims left. Gives back how many rows went.
create function savefile.sweep(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
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
  return total;
end $$;

-- Rules 10 and 11.
create function savefile.claim_draft(
  p_space text, p_session text, p_epoch bigint, p_step text, p_token text, p_safe boolean, p_ttl bigint,
  out status text, out attempt integer, out attempts text, out retry_us bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s_epoch bigint; s_head bigint; s_closed boolean; now_at bigint;
  d savefile.drafts;
begin
  -- FOR SHARE: FOR KEY SHARE would not keep a new epoch from being claimed meanwhile.
  select x.epoch, x.head, x.closed into s_epoch, s_head, s_closed from savefile.sessions x
  where x.space_id = p_space and x.session_id = p_session for share;
  if s_epoch is distinct from p_epoch then status := 'stale_epoch'; return; end if;
  if s_closed then status := 'closed'; return; end if;
  now_at := savefile.now_us();
  attempt := 1;
  attempts := '[]';
  status := 'claimed';
  select * into d from savefile.drafts x where x.space_id = p_space and x.session_id = p_session and x.step = p_step for no key update;
  if not found then
    -- Whoever loses a race for the first claim gets a unique violation, and asks again: ON CONFLICT would cost every claim a WAL record.
    insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state, beat_at)
    values (p_space, p_session, p_step, s_head, p_epoch, 1, p_token, now_at, 'running', now_at);
    return;
  end if;
  now_at := savefile.now_us();
  attempt := d.attempt;
  attempts := d.attempts;
  if d.state <> 'running' then status := d.state; return; end if;
  if d.token = p_token then return; end if;
  if d.beat_at > now_at - p_ttl then
    status := 'busy';
    retry_us := d.beat_at + p_ttl - now_at;
    return;
  end if;
  if not p_safe then
    update savefile.drafts x set state = 'closed', outcome = 'unknown' where x.space_id = p_space and x.session_id = p_session and x.step = p_step;
    status := 'closed';
    return;
  end if;
  attempts := left(d.attempts, -1) || case when d.attempts = '[]' then '' else ',' end
    || format('{"n":%s,"at":%s,"outcome":"%s"}]', d.attempt, d.claimed_at, coalesce(d.released, 'vanished'));
  attempt := d.attempt + 1;
  update savefile.drafts x set
    epoch = p_epoch, token = p_token, attempt = claim_draft.attempt, attempts = claim_draft.attempts,
    claimed_at = now_at, beat_at = now_at, released = null
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step;
end $$;

-- Rule 12: the token decides, not the epoch. A tool's refused result is evidence, and somebody must come and append it.
create function savefile.finish_draft(p_space text, p_session text, p_step text, p_token text, p_type text, p_v integer, p_payload text)
returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  body bytea := convert_to(p_payload, 'UTF8');
begin
  if p_type not in ('model_answered', 'model_failed', 'tool_finished') then raise exception 'savefile: no step ends with %', p_type; end if;
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

-- Gives a claim back: the next attempt need not wait for the beat to go silent.
create function savefile.release_draft(p_space text, p_session text, p_step text, p_token text, p_why text)
returns void language sql security definer set search_path = pg_catalog, savefile, pg_temp as $$
  update savefile.drafts x set beat_at = null, released = p_why
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step and x.token = p_token and x.state = 'running'
$$;

-- "I live", for all rows of a process in one write; the tokens that are still in charge come back. Not waited for on disk: a beat that a
-- crash of Postgres loses is followed by the next. Rows are locked in key order, as everywhere.
create function savefile.beat(p_spaces text[], p_sessions text[], p_steps text[], p_tokens text[])
returns setof text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  return query
    with held as materialized (
      select x.space_id, x.session_id, x.step from unnest(p_spaces, p_sessions, p_steps, p_tokens) h (space_id, session_id, step, token)
      join savefile.drafts x using (space_id, session_id, step)
      where x.token = h.token and x.state = 'running' and x.beat_at is not null
      order by 1, 2, 3 for no key update of x)
    update savefile.drafts x set beat_at = savefile.now_us() from held h
    where x.space_id = h.space_id and x.session_id = h.session_id and x.step = h.step
    returning x.token;
end $$;

-- Rule 14: a row is closed only as it was seen: absent (token null), or held by that token.
create function savefile.close_drafts(p_space text, p_session text, p_epoch bigint, p_steps text[], p_tokens text[], p_outcomes text[])
returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s_epoch bigint; s_head bigint; c record;
begin
  select x.epoch, x.head into s_epoch, s_head from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for share;
  if s_epoch is distinct from p_epoch then return 'stale_epoch'; end if;
  for c in select * from unnest(p_steps, p_tokens, p_outcomes) u (step, token, outcome) order by step loop
    if c.token is null then
      insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state, outcome)
      values (p_space, p_session, c.step, s_head, p_epoch, 0, '', savefile.now_us(), 'closed', c.outcome) on conflict do nothing;
    else
      update savefile.drafts x set state = 'closed', outcome = c.outcome
      where x.space_id = p_space and x.session_id = p_session and x.step = c.step and x.token = c.token and x.state = 'running';
    end if;
  end loop;
  return 'closed';
end $$;
