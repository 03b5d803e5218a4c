-- What a queue's host is told of a call that it claimed: also whether it may be run again.
drop function savefile.executor_claim(text, text, bigint, text, text, bigint);
-- Rules 10 and 11, for one call; `safe` is what its definition says, not what the caller does. Claimed: with all that it takes to run it.
create function savefile.executor_claim(
  p_space text, p_session text, p_epoch bigint, p_call text, p_token text, p_ttl bigint,
  out status text, out attempt integer, out attempts text, out retry_us bigint,
  out tool text, out args text, out idempotency_key text, out timeout_ms bigint, out work_folder text, out safe boolean
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  c record;
begin
  select * into c from savefile.queue_call(p_space, p_session, p_call);
  if c.started is null then status := 'call_not_found'; return; end if;
  if savefile.lineage_seq(p_space, p_session, 'x:result:' || p_call) is not null then status := 'finished'; return; end if;
  safe := coalesce((c.tool ->> 'readOnly')::boolean, false) or coalesce((c.tool ->> 'idempotent')::boolean, false);
  select d.status, d.attempt, d.attempts, d.retry_us into status, attempt, attempts, retry_us
  from savefile.claim_draft(p_space, p_session, p_epoch, 'tool@' || p_call, p_token, safe, p_ttl) d;
  if status <> 'claimed' then return; end if;
  tool := c.tool ->> 'name';
  args := coalesce((
    select convert_from(e.payload, 'UTF8')::json ->> 'args' from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = 'x:approval:' || p_call and e.seq between l.lo and l.hi and e.kid is null
    where l.space_id = p_space and l.session_id = p_session order by e.seq desc limit 1), c.call ->> 'args');
  idempotency_key := c.started ->> 'idempotencyKey';
  timeout_ms := (c.tool ->> 'timeoutMs')::bigint;
  work_folder := (
    select w.folder from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key in ('x:created', 'x:forked') and e.seq between l.lo and l.hi and e.kid is null
    cross join lateral (select convert_from(e.payload, 'UTF8')::json ->> 'workFolder' as folder) w
    where l.space_id = p_space and l.session_id = p_session and w.folder is not null order by e.seq desc limit 1);
end $$;

revoke all on function savefile.executor_claim(text, text, bigint, text, text, bigint) from public;
grant execute on function savefile.executor_claim(text, text, bigint, text, text, bigint) to savefile_executor;
