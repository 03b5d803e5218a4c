-- Executors of a queue (savefile_executor): a host that runs tools, trusted with its own calls and nothing else. Which queue a login serves,
-- and in which space, stands in a table; `session_user` is who logged in, which no SET ROLE and no setting changes. It reads no table.

create table savefile.queue_logins (
  login name not null,
  space_id text not null,
  queue text not null,
  primary key (login, space_id)
);
grant select on savefile.queue_logins to savefile_writer;

-- The started event of a call that is of the caller's queue; no row where there is no such call, or it is another's.
create function savefile.queue_call(p_space text, p_session text, p_call text, out started json, out call json, out tool json)
language sql stable as $$
  select convert_from(e.payload, 'UTF8')::json, c.call, c.tool
  from savefile.queue_logins q
  join savefile.lineage l on l.space_id = q.space_id and l.session_id = p_session
  join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = 'x:started:' || p_call and e.seq between l.lo and l.hi
    and e.kid is null and convert_from(e.payload, 'UTF8')::json ->> 'queue' = q.queue
  cross join lateral savefile.call_spec(p_space, p_session, p_call) c
  where q.login = session_user and q.space_id = p_space and c.tool is not null
$$;

-- Rules 10 and 11, for one call; `safe` is what its definition says, not what the caller does. Claimed: with all that it takes to run it.
create function savefile.executor_claim(
  p_space text, p_session text, p_epoch bigint, p_call text, p_token text, p_ttl bigint,
  out status text, out attempt integer, out attempts text, out retry_us bigint,
  out tool text, out args text, out idempotency_key text, out timeout_ms bigint, out work_folder text
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  c record;
begin
  select * into c from savefile.queue_call(p_space, p_session, p_call);
  if c.started is null then status := 'call_not_found'; return; end if;
  if savefile.lineage_seq(p_space, p_session, 'x:result:' || p_call) is not null then status := 'finished'; return; end if;
  select d.status, d.attempt, d.attempts, d.retry_us into status, attempt, attempts, retry_us
  from savefile.claim_draft(p_space, p_session, p_epoch, 'tool@' || p_call, p_token,
    coalesce((c.tool ->> 'readOnly')::boolean, false) or coalesce((c.tool ->> 'idempotent')::boolean, false), p_ttl) d;
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

-- Rule 12, with a result that validates (contract/events.ts) and is of this call.
create function savefile.executor_finish(p_space text, p_session text, p_call text, p_token text, p_v integer, p_payload text) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  c record;
  p json := p_payload::json;
begin
  select * into c from savefile.queue_call(p_space, p_session, p_call);
  if c.started is null then return 'call_not_found'; end if;
  perform p_payload::jsonb;
  perform savefile.check_keys('tool_finished', p, '{call,tool,outcome,blocks}', '{code,ms}');
  perform savefile.check_types('tool_finished', p, 'string', '{call,tool,outcome,code}');
  perform savefile.check_blocks(p_space, p_session, p -> 'blocks');
  if p_v <> 1 or p ->> 'call' <> p_call or p ->> 'tool' <> c.tool ->> 'name' or p ->> 'outcome' not in ('ok', 'error', 'cancelled')
    or coalesce(p ->> 'ms', '0') !~ '^(0|[1-9][0-9]{0,14})$' then
    perform savefile.not_valid('the result is not of this call, or does not validate');
  end if;
  perform from savefile.drafts d where d.space_id = p_space and d.session_id = p_session and d.step = 'tool@' || p_call;
  if not found then return 'refused'; end if;
  return savefile.finish_draft(p_space, p_session, 'tool@' || p_call, p_token, 'tool_finished', p_v, p_payload);
end $$;

-- The rest of a draft's life: all by the token that claimed it. False: it is another's by now.
create function savefile.executor_holds(p_space text, p_session text, p_call text, p_token text) returns boolean language sql stable as $$
  select (savefile.queue_call(p_space, p_session, p_call)).started is not null and exists (
    select from savefile.drafts d
    where d.space_id = p_space and d.session_id = p_session and d.step = 'tool@' || p_call and d.token = p_token and d.state = 'running')
$$;

create function savefile.executor_beat(p_space text, p_session text, p_call text, p_token text) returns boolean
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return false; end if;
  return exists (select from savefile.beat(array[p_space], array[p_session], array['tool@' || p_call], array[p_token]));
end $$;

create function savefile.executor_release(p_space text, p_session text, p_call text, p_token text, p_why text) returns boolean
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return false; end if;
  if p_why not in ('cut_off', 'timeout', 'internal') then perform savefile.not_valid('why is cut_off, timeout or internal'); end if;
  perform savefile.release_draft(p_space, p_session, 'tool@' || p_call, p_token, p_why);
  return true;
end $$;

create function savefile.executor_output(p_space text, p_session text, p_call text, p_token text, p_n bigint, p_body text) returns boolean
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return false; end if;
  perform savefile.write_deltas(array[p_space], array[p_session], array['tool@' || p_call], array[p_token], array[p_n], array['output'], array[p_body]);
  return true;
end $$;

-- A long output; null where the call is not held.
create function savefile.executor_put_blob(p_space text, p_session text, p_call text, p_token text, p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return null; end if;
  if octet_length(p_content) > 67108864 then perform savefile.not_valid('a blob has at most 67108864 bytes'); end if;
  return savefile.put_blob(p_space, p_session, p_media_type, p_content);
end $$;

-- Which login serves which queue of a space; null takes it back. For the writer: the login itself is made by an administrator.
create function savefile.set_queue_login(p_login text, p_space text, p_queue text) returns void
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if p_queue is null then delete from savefile.queue_logins q where q.login = p_login and q.space_id = p_space; return; end if;
  insert into savefile.queue_logins (login, space_id, queue) values (p_login, p_space, p_queue)
  on conflict (login, space_id) do update set queue = p_queue;
end $$;

revoke all on all functions in schema savefile from public;
grant execute on function savefile.set_queue_login(text, text, text) to savefile_writer;
grant execute on function
  savefile.executor_claim(text, text, bigint, text, text, bigint),
  savefile.executor_finish(text, text, text, text, integer, text),
  savefile.executor_beat(text, text, text, text),
  savefile.executor_release(text, text, text, text, text),
  savefile.executor_output(text, text, text, text, bigint, text),
  savefile.executor_put_blob(text, text, text, text, text, bytea)
to savefile_executor;
