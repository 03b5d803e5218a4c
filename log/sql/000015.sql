-- What a person who waits may be told of a step that is tried again, and the live text of what is over.

-- Of the step whose last attempt failed: why (an enum word), which attempt that was, and in how many microseconds the session is looked at.
create function savefile.stalled(p_space text, p_session text)
returns table (step text, why text, attempt integer, due_in bigint)
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select r.step, r.released, r.attempt, s.due_at - savefile.now_us()
  from savefile.sessions s
  join savefile.drafts r on r.space_id = s.space_id and r.session_id = s.session_id and r.born >= s.answer_seq
  where s.space_id = p_space and s.session_id = p_session and r.state = 'running' and r.beat_at is null and r.released is not null
  order by r.claimed_at desc limit 1
$$;

-- Rule 15 for what claims left, and the live text of sessions with nothing to do: who still follows has it from the event. Sessions with live
-- text are found by hopping along its index. Gives back how many draft rows went.
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
    select t.space_id, t.session_id from streaming t
    cross join lateral (select y.state from savefile.sessions y where y.space_id = t.space_id and y.session_id = t.session_id offset 0) y
    where y.state = 'idle' limit 100
  loop
    -- A step that began since the look keeps its text.
    delete from savefile.draft_deltas x where x.space_id = s.space_id and x.session_id = s.session_id and not exists (
      select from savefile.drafts r
      where r.space_id = x.space_id and r.session_id = x.session_id and r.step = x.step and r.token = x.token and r.state = 'running');
  end loop;
  return total;
end $$;

revoke all on function savefile.stalled(text, text) from public;
grant execute on function savefile.stalled(text, text) to savefile_writer;
