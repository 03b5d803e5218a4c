-- What was not possible by token: checkpoints, compactions, imports, taking custody. Each asks for its right here, and looks at what it is
-- given, as the other member_ functions do.

-- A summary of p_of's events up to the end of a turn of it, which a view of p_session may begin with.
create function savefile.check_checkpoint(p_space text, p_session text, p_of text, p json) returns void language plpgsql as $$
declare
  u record;
begin
  perform savefile.check_keys('checkpoint_made', p, '{lo,hi,blocks,method}', '{provider,model,usage,costUsdMicros}');
  perform savefile.check_types('checkpoint_made', p, 'string', '{method,provider,model}');
  perform savefile.check_types('checkpoint_made', p, 'number', '{lo,hi,costUsdMicros}');
  if p ->> 'method' not in ('model', 'given') or coalesce(p ->> 'costUsdMicros', '0') !~ '^(0|[1-9][0-9]{0,14})$' then
    perform savefile.not_valid('no such method, or no cost');
  end if;
  perform savefile.check_blocks(p_space, p_session, p -> 'blocks');
  if json_array_length(p -> 'blocks') = 0 then perform savefile.not_valid('the summary is empty'); end if;
  if (p -> 'usage') is not null then
    perform savefile.check_keys('usage', p -> 'usage', '{input,output}', '{cacheRead,cacheWrite,reasoning}');
    for u in select x.value #>> '{}' as n, json_typeof(x.value) as type from json_each(p -> 'usage') x loop
      if u.type <> 'number' or u.n !~ '^(0|[1-9][0-9]{0,14})$' then perform savefile.not_valid('usage is counts'); end if;
    end loop;
  end if;
  if p ->> 'lo' <> '1' or p ->> 'hi' !~ '^[1-9][0-9]{0,14}$' or not exists (
    select from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq between l.lo and l.hi and e.seq = (p ->> 'hi')::bigint
    where l.space_id = p_space and l.session_id = p_of and e.type = 'turn_finished') then
    perform savefile.not_valid('a summary stands for all events up to the end of a turn');
  end if;
end $$;

-- As in 000013.sql, and: a checkpoint, which is what the model is sent, and so the owner's.
create or replace function savefile.member_input(
  p_space text, p_session text, p_actor text, p_key text, p_type text, p_v integer, p_subject text, p_payload text, p_definition text,
  out status text, out seq bigint, out head bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
  spec record;
begin
  select * into m from savefile.may(p_space, p_session, array[case when p_type = 'message_received' then 'extend'
    when p_type in ('approval_resolved', 'tool_finished', 'result_arrived_late') then 'approve' else 'own' end]);
  if not m.there then status := 'session_not_found'; return; end if;
  if p_v <> 1 or p_key !~ '^[^\x01-\x1f\x7f]{1,200}$' then perform savefile.not_valid('no such version, or no such key'); end if;
  -- As jsonb: no NUL, no half of a surrogate pair (they are replaced, once, by whoever writes).
  perform p_payload::jsonb;
  if p_type = 'checkpoint_made' then perform savefile.check_checkpoint(p_space, p_session, p_session, p_payload::json);
  else perform savefile.check_payload(p_space, p_session, p_type, p_subject, p_definition, p_payload::json);
  end if;
  if p_type in ('tool_finished', 'result_arrived_late') then
    -- Only what was deferred is a person's to finish: of another tool an executor has the result, or will.
    select * into spec from savefile.call_spec(p_space, p_session, p_subject);
    if spec.tool ->> 'deferred' is distinct from 'true' or spec.tool ->> 'name' is distinct from p_payload::json ->> 'tool' then
      status := 'call_not_found';
      return;
    end if;
  elsif p_type = 'definition_changed' and not savefile.may_use(p_space, substr(m.actor, 6), p_definition) then
    status := 'definition_not_found';
    return;
  end if;
  select i.status, i.seq, i.head into status, seq, head
  from savefile.input(p_space, p_session, m.actor, p_key, p_type, p_v, p_subject, p_payload, p_definition) i;
end $$;

-- As a fork: of whom may fork it, under the definition and in the work folder that it has; with others, of its owner. Summaries are made
-- by a fork with another definition, so that without the right to own one has to be given.
create function savefile.member_create_compaction(
  p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text,
  p_of text, p_checkpoint_v integer, p_checkpoint text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
  p json := p_payload::json;
  c json := p_checkpoint::json;
  owns boolean;
  status text;
begin
  select * into m from savefile.may(p_space, p_of, array['fork']);
  if not m.there then return 'session_not_found'; end if;
  owns := 'own' = any (m.rights) or m.space_rights && array['create', 'own'];
  if p_v not between 1 and 99 or p_checkpoint_v <> 1 or p_session !~ '^[a-z0-9][a-z0-9_-]{0,63}$' then
    perform savefile.not_valid('no such version, or no session''s id');
  end if;
  perform p_payload::jsonb, p_checkpoint::jsonb;
  perform savefile.check_keys('session_created', p, '{definition,origin}', '{title,labels,workFolder}');
  perform savefile.check_types('session_created', p, 'string', '{definition,title,workFolder}');
  perform savefile.check_keys('origin', p -> 'origin', '{kind,session,lo,hi}', '{}');
  perform savefile.check_checkpoint(p_space, p_session, p_of, c);
  if p ->> 'definition' is distinct from p_definition or p -> 'origin' ->> 'kind' <> 'compaction' or p -> 'origin' ->> 'session' <> p_of
    or p -> 'origin' ->> 'lo' <> c ->> 'lo' or p -> 'origin' ->> 'hi' <> c ->> 'hi' then
    perform savefile.not_valid('the payload says another thing than its arguments');
  end if;
  if p_definition is distinct from savefile.definition_at(p_space, p_of, (c ->> 'hi')::bigint) then
    if not owns then perform savefile.forbid('own'); end if;
    if not savefile.may_use(p_space, substr(m.actor, 6), p_definition) then return 'definition_not_found'; end if;
  end if;
  if not owns and (p -> 'workFolder') is not null and p ->> 'workFolder' is distinct from (
    select w.folder from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key in ('x:created', 'x:forked')
      and e.seq between l.lo and least(l.hi, (c ->> 'hi')::bigint) and e.kid is null
    cross join lateral (select convert_from(e.payload, 'UTF8')::json ->> 'workFolder' as folder) w
    where l.space_id = p_space and l.session_id = p_of and w.folder is not null order by e.seq desc limit 1) then
    perform savefile.forbid('own');
  end if;
  status := savefile.create_compaction(p_space, p_session, m.actor, p_definition, p_title, p_labels, p_v, p_payload, p_of, p_checkpoint_v, p_checkpoint);
  if status = 'created' then
    perform savefile.grant_session(p_space, p_session, m.actor, savefile.new_grant(), substr(m.actor, 6),
      case when owns then array['own'] when 'approve' = any (m.rights) then array['read', 'extend', 'approve', 'fork'] else array['read', 'extend', 'fork'] end,
      false, null, null, null);
  end if;
  return status;
end $$;

create function savefile.member_adopt(p_space text, p_session text, p_actor text, p_head bigint, p_v integer, p_payload text, out status text, out seq bigint)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
  p json := p_payload::json;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  perform p_payload::jsonb;
  perform savefile.check_keys('custody_taken', p, '{head,hash}', '{why,original}');
  perform savefile.check_types('custody_taken', p, 'string', '{hash,why}');
  perform savefile.check_types('custody_taken', p, 'number', '{head}');
  if p_v not in (1, 2) or p ->> 'head' <> p_head::text or not exists (
    select from savefile.sessions x where x.space_id = p_space and x.session_id = p_session and (x.head <> p_head or encode(x.head_hash, 'hex') = p ->> 'hash')) then
    perform savefile.not_valid('that is not its head');
  end if;
  if (p -> 'original') is not null then
    if json_typeof(p -> 'original') <> 'array' then perform savefile.not_valid('original is no array'); end if;
    perform savefile.check_keys('a file', o, '{name,blob}', '{}') from json_array_elements(p -> 'original') o;
    perform savefile.check_blocks(p_space, p_session, (
      select json_agg(json_build_object('type', 'file', 'name', o -> 'name', 'blob', o -> 'blob')) from json_array_elements(p -> 'original') o));
  end if;
  select a.status, a.seq into status, seq from savefile.adopt(p_space, p_session, m.actor, p_head, p_v, p_payload) a;
end $$;

-- An import brings any session, under any id, in the names of whoever wrote it elsewhere, and moves on those that are here: it takes the space.
create function savefile.may_import(p_space text) returns void language plpgsql as $$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here or not 'own' = any (w.space_rights) then perform savefile.forbid('own'); end if;
end $$;

create function savefile.member_import_begin(
  p_space text, p_session text, p_stub boolean, p_base text, p_base_seq bigint, p_parent text, p_title text, p_labels text,
  p_head bigint, p_hash bytea, p_ttl bigint, out status text, out head bigint, out head_hash bytea, out custody text
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform savefile.may_import(p_space);
  if p_session !~ '^[a-z0-9][a-z0-9_-]{0,63}$' then perform savefile.not_valid('no session''s id'); end if;
  perform p_labels::jsonb;
  select b.status, b.head, b.head_hash, b.custody into status, head, head_hash, custody
  from savefile.import_begin(p_space, p_session, p_stub, p_base, p_base_seq, p_parent, p_title, p_labels, p_head, p_hash, p_ttl) b;
end $$;

create function savefile.member_import_events(
  p_space text, p_session text, p_types text[], p_vs integer[], p_ats bigint[], p_actors text[], p_keys text[], p_kids text[],
  p_definitions text[], p_lengths integer[], p_payloads bytea, p_hashes bytea
) returns bigint language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform savefile.may_import(p_space);
  return savefile.import_events(p_space, p_session, p_types, p_vs, p_ats, p_actors, p_keys, p_kids, p_definitions, p_lengths, p_payloads, p_hashes);
end $$;

create function savefile.member_import_end(p_space text, p_session text, p_stub boolean, p_head bigint, p_hash bytea) returns boolean
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform savefile.may_import(p_space);
  return savefile.import_end(p_space, p_session, p_stub, p_head, p_hash);
end $$;

create function savefile.member_import_blob(p_space text, p_sessions text[], p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform savefile.may_import(p_space);
  if octet_length(p_content) > 67108864 then perform savefile.not_valid('a blob has at most 67108864 bytes'); end if;
  return savefile.import_blob(p_space, p_sessions, p_media_type, p_content);
end $$;

create function savefile.member_import_key(p_space text, p_session text, p_kid text, p_owner text, p_wrapped bytea) returns void
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  perform savefile.may_import(p_space);
  if p_kid !~ '^[a-z0-9]{16,64}$' or octet_length(p_wrapped) not between 1 and 8192 then perform savefile.not_valid('no key'); end if;
  perform savefile.import_key(p_space, p_session, p_kid, p_owner, p_wrapped);
end $$;

revoke all on function
  savefile.check_checkpoint(text, text, text, json), savefile.may_import(text),
  savefile.member_create_compaction(text, text, text, text, text, text, integer, text, text, integer, text),
  savefile.member_adopt(text, text, text, bigint, integer, text),
  savefile.member_import_begin(text, text, boolean, text, bigint, text, text, text, bigint, bytea, bigint),
  savefile.member_import_events(text, text, text[], integer[], bigint[], text[], text[], text[], text[], integer[], bytea, bytea),
  savefile.member_import_end(text, text, boolean, bigint, bytea), savefile.member_import_blob(text, text[], text, bytea),
  savefile.member_import_key(text, text, text, text, bytea)
from public;
grant execute on function
  savefile.member_create_compaction(text, text, text, text, text, text, integer, text, text, integer, text),
  savefile.member_adopt(text, text, text, bigint, integer, text),
  savefile.member_import_begin(text, text, boolean, text, bigint, text, text, text, bigint, bytea, bigint),
  savefile.member_import_events(text, text, text[], integer[], bigint[], text[], text[], text[], text[], integer[], bytea, bytea),
  savefile.member_import_end(text, text, boolean, bigint, bytea), savefile.member_import_blob(text, text[], text, bytea),
  savefile.member_import_key(text, text, text, text, bytea)
to savefile_member;
