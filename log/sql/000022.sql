-- Tools of a queue in encrypted sessions (docs/erase.md, docs/decisions/0015). The session's worker, which holds the data key, leaves here
-- what one call takes, sealed for the key that the tool's definition names; its host opens it, and seals the result with the key of that call.
create table savefile.queue_calls (
  space_id text not null,
  session_id text not null,
  call text not null,
  queue text not null,
  tool text not null,
  safe boolean not null,
  -- Which public key it is sealed for.
  sealed_for text not null,
  body bytea not null,
  primary key (space_id, session_id, call)
);
grant select on savefile.queue_calls to savefile_writer, savefile_backup;
alter table savefile.queue_calls enable row level security;
create policy trusted on savefile.queue_calls for select to savefile_writer, savefile_backup using (true);

-- It lies no longer than the call's draft.
create function savefile.drop_queue_calls() returns trigger language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  delete from savefile.queue_calls q where q.ctid = any (array(
    select y.ctid from gone g
    cross join lateral (
      select z.ctid from savefile.queue_calls z
      where z.space_id = g.space_id and z.session_id = g.session_id and z.call = substr(g.step, 6) offset 0) y
    where g.step like 'tool@%'));
  return null;
end $$;
create trigger queue_calls after delete on savefile.drafts referencing old table as gone for each statement execute function savefile.drop_queue_calls();

-- The same call again changes nothing.
create function savefile.hand_over_call(
  p_space text, p_session text, p_epoch bigint, p_call text, p_queue text, p_tool text, p_safe boolean, p_sealed_for text, p_body bytea
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for share;
  if not found or s.closed or s.epoch <> p_epoch then return 'stale_epoch'; end if;
  if s.kid is null then raise exception 'savefile: session % is in clear: its calls are read from its log', p_session; end if;
  insert into savefile.queue_calls (space_id, session_id, call, queue, tool, safe, sealed_for, body)
  values (p_space, p_session, p_call, p_queue, p_tool, p_safe, p_sealed_for, p_body) on conflict do nothing;
  return 'handed_over';
end $$;

-- An envelope's second form has the call behind the kid: sealed with the key of that call alone.
create or replace function savefile.sealed_kid(p_text bytea) returns text language plpgsql immutable as $$
declare
  head bytea;
begin
  if substring(p_text from 1 for 7) is distinct from 'sealed:'::bytea then return null; end if;
  head := decode(encode(substring(p_text from 8 for 136), 'escape'), 'base64');
  if substring(head from 1 for 4) not in ('\x53464501', '\x53464502') then raise exception 'savefile: not an envelope'; end if;
  return encode(substring(head from 6 for get_byte(head, 4)), 'escape');
end $$;

-- The call whose key a text is sealed with; null where it is sealed with the session's, or not at all.
create function savefile.sealed_call(p_content bytea) returns text language plpgsql immutable as $$
declare
  head bytea := p_content;
  kid integer;
begin
  if substring(p_content from 1 for 7) = 'sealed:'::bytea then head := decode(encode(substring(p_content from 8 for 700), 'escape'), 'base64'); end if;
  if substring(head from 1 for 4) is distinct from '\x53464502'::bytea then return null; end if;
  kid := get_byte(head, 4);
  return encode(substring(head from 7 + kid for get_byte(head, 5 + kid)), 'escape');
end $$;

-- As in 000020.sql, and: in either form.
create or replace function savefile.refuse_clear_rows() returns trigger language plpgsql as $$
declare
  clear text;
begin
  if tg_table_name = 'snapshots' then
    select x.session_id into clear from added n
    cross join lateral (select y.session_id, y.kid from savefile.sessions y where y.space_id = n.space_id and y.session_id = n.session_id offset 0) x
    where x.kid is not null and x.kid is distinct from savefile.sealed_kid(convert_to(n.state, 'UTF8')) limit 1;
  elsif tg_table_name = 'draft_deltas' then
    select x.session_id into clear from added n
    cross join lateral (select y.session_id, y.kid from savefile.sessions y where y.space_id = n.space_id and y.session_id = n.session_id offset 0) x
    where x.kid is not null and x.kid is distinct from savefile.sealed_kid(convert_to(n.body, 'UTF8')) limit 1;
  else
    select x.session_id into clear from added n
    cross join lateral (select y.session_id, y.kid from savefile.sessions y where y.space_id = n.space_id and y.session_id = n.session_id offset 0) x
    cross join lateral (select z.media_type, z.content from savefile.blobs z where z.space_id = n.space_id and z.hash = n.hash offset 0) b
    where x.kid is not null and (b.media_type <> 'application/vnd.savefile.sealed' or substring(b.content from 1 for 4) not in ('\x53464501', '\x53464502'))
      -- What it inherits from a parent in clear is what it is.
      and not exists (
        select from savefile.lineage l join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = n.hash
        where l.space_id = n.space_id and l.session_id = n.session_id and l.src <> n.session_id) limit 1;
  end if;
  if clear is not null then perform savefile.refuse_clear(clear); end if;
  return null;
end $$;

-- The started call of a queue that the caller serves. Of an encrypted session: what was handed over, and sealed for whom.
drop function savefile.queue_call(text, text, text);
create function savefile.queue_call(p_space text, p_session text, p_call text, out started json, out call json, out tool json, out sealed_for text, out body bytea)
language sql stable as $$
  select convert_from(e.payload, 'UTF8')::json, c.call, c.tool, null::text, null::bytea
  from savefile.queue_logins q
  join savefile.sessions s on s.space_id = q.space_id and s.session_id = p_session and s.kid is null
  join savefile.lineage l on l.space_id = q.space_id and l.session_id = p_session
  join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = 'x:started:' || p_call and e.seq between l.lo and l.hi
    and e.kid is null and convert_from(e.payload, 'UTF8')::json ->> 'queue' = q.queue
  cross join lateral savefile.call_spec(p_space, p_session, p_call) c
  where q.login = session_user and q.space_id = p_space and c.tool is not null
  union all
  select json_build_object('queue', h.queue), null, json_build_object('name', h.tool, 'readOnly', h.safe), h.sealed_for, h.body
  from savefile.queue_logins q
  join savefile.queue_calls h on h.space_id = q.space_id and h.session_id = p_session and h.call = p_call and h.queue = q.queue
  where q.login = session_user and q.space_id = p_space
$$;

-- As in 000021.sql, and: a call that is sealed is claimed by whoever can open it (p_keys: the public keys that the caller has the private ones of).
drop function savefile.executor_claim(text, text, bigint, text, text, bigint);
create function savefile.executor_claim(
  p_space text, p_session text, p_epoch bigint, p_call text, p_token text, p_ttl bigint, p_keys text[] default '{}',
  out status text, out attempt integer, out attempts text, out retry_us bigint,
  out tool text, out args text, out idempotency_key text, out timeout_ms bigint, out work_folder text, out safe boolean,
  out sealed_for text, out body bytea
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  c record;
begin
  select * into c from savefile.queue_call(p_space, p_session, p_call);
  if c.started is null then status := 'call_not_found'; return; end if;
  if savefile.lineage_seq(p_space, p_session, 'x:result:' || p_call) is not null then status := 'finished'; return; end if;
  if c.sealed_for is not null and c.sealed_for <> all (p_keys) then status := 'key_missing'; sealed_for := c.sealed_for; return; end if;
  safe := coalesce((c.tool ->> 'readOnly')::boolean, false) or coalesce((c.tool ->> 'idempotent')::boolean, false);
  select d.status, d.attempt, d.attempts, d.retry_us into status, attempt, attempts, retry_us
  from savefile.claim_draft(p_space, p_session, p_epoch, 'tool@' || p_call, p_token, safe, p_ttl) d;
  if status <> 'claimed' then return; end if;
  tool := c.tool ->> 'name';
  if c.sealed_for is not null then
    sealed_for := c.sealed_for;
    body := c.body;
    return;
  end if;
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

-- As in 000014.sql, and: a sealed result is of this call by its envelope; what it says is looked at by who opens it (log/look.ts).
create or replace function savefile.executor_finish(p_space text, p_session text, p_call text, p_token text, p_v integer, p_payload text) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  c record;
  p json;
begin
  select * into c from savefile.queue_call(p_space, p_session, p_call);
  if c.started is null then return 'call_not_found'; end if;
  if c.sealed_for is not null then
    if p_v <> 1 or savefile.sealed_call(convert_to(p_payload, 'UTF8')) is distinct from p_call then
      perform savefile.not_valid('the result is not sealed with the key of this call');
    end if;
  else
    p := p_payload::json;
    perform p_payload::jsonb;
    perform savefile.check_keys('tool_finished', p, '{call,tool,outcome,blocks}', '{code,ms}');
    perform savefile.check_types('tool_finished', p, 'string', '{call,tool,outcome,code}');
    perform savefile.check_blocks(p_space, p_session, p -> 'blocks');
    if p_v <> 1 or p ->> 'call' <> p_call or p ->> 'tool' <> c.tool ->> 'name' or p ->> 'outcome' not in ('ok', 'error', 'cancelled')
      or coalesce(p ->> 'ms', '0') !~ '^(0|[1-9][0-9]{0,14})$' then
      perform savefile.not_valid('the result is not of this call, or does not validate');
    end if;
  end if;
  perform from savefile.drafts d where d.space_id = p_space and d.session_id = p_session and d.step = 'tool@' || p_call;
  if not found then return 'refused'; end if;
  return savefile.finish_draft(p_space, p_session, 'tool@' || p_call, p_token, 'tool_finished', p_v, p_payload);
end $$;

-- As in 000019.sql, and: what its calls take, sealed for their hosts, goes too.
create or replace function savefile.erase_session(p_space text, p_session text, p_actor text, p_v integer, p_closed_v integer, p_why text,
  out status text, out seq bigint, out head bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  event_at bigint; h bytea;
  k text;
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  if s.kid is null then status := 'not_encrypted'; return; end if;
  k := savefile.structural_key('key_destroyed', s.kid);
  status := 'erased';
  seq := savefile.own_seq(p_space, p_session, k);
  -- A copy that does not go on here takes no event: its key goes all the same.
  if seq is null and s.custody <> 'live' then
    update savefile.sessions x set title = null, erased = true where x.space_id = p_space and x.session_id = p_session;
  elsif seq is null then
    event_at := greatest(savefile.now_us(), s.head_at);
    h := s.head_hash;
    if not s.closed then
      head := head + 1;
      h := savefile.add_event(p_space, p_session, head, h, event_at, 'session_closed', p_closed_v, p_actor, 'x:closed', '{}');
    end if;
    head := head + 1;
    seq := head;
    h := savefile.add_event(p_space, p_session, seq, h, event_at, 'key_destroyed', p_v, p_actor, k,
      convert_to('{"kid":' || to_json(s.kid) || case when p_why is null then '' else ',"why":' || to_json(p_why) end || '}', 'UTF8'));
    -- A new epoch: whoever executes it learns that it is no longer theirs.
    update savefile.sessions x set
      head = erase_session.head, head_hash = h, head_at = event_at, updated_at = event_at, title = null, erased = true,
      closed = true, state = 'idle', due_at = null, epoch = x.epoch + 1, owner_cluster = null, owner_run = null
    where x.space_id = p_space and x.session_id = p_session;
  end if;
  update savefile.session_keys x set wrapped = null, destroyed_at = coalesce(x.destroyed_at, savefile.now_us())
  where x.space_id = p_space and x.kid = s.kid;
  delete from savefile.drafts x where x.space_id = p_space and x.session_id = p_session;
  delete from savefile.evidence x where x.space_id = p_space and x.session_id = p_session;
  delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session;
  -- Its blobs are nobody's any more: retention drops them.
  update savefile.blob_refs x set known = false, touched_at = 0 where x.space_id = p_space and x.session_id = p_session;
  -- A fork's own, under its own key, hold what it inherited.
  delete from savefile.queue_calls x where x.space_id = p_space and x.session_id in (
    select p_session union all select l.session_id from savefile.lineage l where l.space_id = p_space and l.src = p_session and l.src <> l.session_id);
  delete from savefile.snapshots x where x.space_id = p_space and x.session_id in (
    select p_session union all select l.session_id from savefile.lineage l where l.space_id = p_space and l.src = p_session and l.src <> l.session_id);
end $$;

revoke all on function
  savefile.drop_queue_calls(), savefile.sealed_call(bytea), savefile.queue_call(text, text, text),
  savefile.hand_over_call(text, text, bigint, text, text, text, boolean, text, bytea),
  savefile.executor_claim(text, text, bigint, text, text, bigint, text[])
from public;
grant execute on function savefile.hand_over_call(text, text, bigint, text, text, text, boolean, text, bytea) to savefile_writer;
grant execute on function savefile.executor_claim(text, text, bigint, text, text, bigint, text[]) to savefile_executor;
