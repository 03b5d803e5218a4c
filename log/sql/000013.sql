-- Writing by token (savefile_member): thin functions, of the same names and arguments as the trusted ones with `member_` before, that find
-- out who holds the token of the transaction (`savefile.token`), check the right, and call the trusted function in that principal's name.
-- Nothing else of the connection is believed: the space is the token's, the actor is its principal, whatever the arguments say. What a
-- caller without our client could get wrong so that a session is harmed (a payload that does not validate, or says another thing than its
-- arguments) is refused here.

create function savefile.forbid(p_missing text) returns void language plpgsql as $$
begin
  raise exception 'savefile: forbidden' using errcode = 'SF403', detail = p_missing;
end $$;

-- Who speaks. Raises where the token is none.
create function savefile.speaker(p_space text, out principal text, out actor text, out grant_id text, out space_rights text[], out here boolean)
language plpgsql stable as $$
declare
  h record;
begin
  select * into h from savefile.holder(current_setting('savefile.token', true));
  if h.space_id is null then perform savefile.forbid('token'); end if;
  principal := h.principal;
  actor := 'user:' || h.principal;
  grant_id := h.grant_id;
  space_rights := h.space_rights;
  -- Another space is one in which there is nothing.
  here := h.space_id = p_space;
end $$;

-- What the speaker may do in a session. `there` false: it has no right in it, so that it is not there; raises where it has others only.
create function savefile.may(p_space text, p_session text, p_rights text[], out there boolean, out actor text, out rights text[], out space_rights text[])
language plpgsql stable as $$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  actor := w.actor;
  space_rights := w.space_rights;
  there := w.here;
  if not there then return; end if;
  if 'own' = any (space_rights) then
    rights := savefile.full_rights(array['own']);
    return;
  end if;
  rights := array(
    select distinct r from savefile.held_grants(p_space, w.principal, w.grant_id) g, unnest(g.rights) r where g.session_id = p_session);
  there := rights <> '{}';
  if there and not rights && p_rights then perform savefile.forbid(p_rights[1]); end if;
end $$;

create function savefile.not_valid(p_what text) returns void language plpgsql as $$
begin
  raise exception 'savefile: %', p_what using errcode = 'invalid_parameter_value';
end $$;

-- Raises unless p is an object with these fields (each once) and no others.
create function savefile.check_keys(p_what text, p json, p_needed text[], p_optional text[]) returns void language plpgsql as $$
declare
  keys text[];
begin
  if p is null or json_typeof(p) <> 'object' then perform savefile.not_valid(p_what || ' is not an object'); end if;
  keys := array(select json_object_keys(p));
  if not keys @> p_needed or not keys <@ (p_needed || p_optional) or cardinality(keys) <> (select count(distinct k) from unnest(keys) k) then
    perform savefile.not_valid(p_what || ' does not have the fields that it must have, or others');
  end if;
end $$;

create function savefile.check_types(p_what text, p json, p_type text, p_fields text[]) returns void language plpgsql as $$
declare
  f text;
begin
  foreach f in array p_fields loop
    if json_typeof(p -> f) <> p_type then perform savefile.not_valid(p_what || '.' || f || ' is no ' || p_type); end if;
  end loop;
end $$;

-- The blocks that people write (contract/blocks.ts, ContentBlock), and that this session refers to the blobs that they name.
create function savefile.check_blocks(p_space text, p_session text, p_blocks json) returns void language plpgsql as $$
declare
  b json; r json; kind text;
begin
  if json_typeof(p_blocks) is distinct from 'array' then perform savefile.not_valid('blocks is no array'); end if;
  for b in select value from json_array_elements(p_blocks) loop
    kind := case when json_typeof(b) = 'object' then b ->> 'type' end;
    if kind = 'text' then
      perform savefile.check_keys('a text block', b, '{type,text}', '{blob,normalised}');
      perform savefile.check_types('a text block', b, 'string', '{text}');
      if (b -> 'normalised') is not null and (b ->> 'normalised') !~ '^[1-9][0-9]{0,14}$' then perform savefile.not_valid('normalised is no count'); end if;
    elsif kind = 'image' then
      perform savefile.check_keys('an image block', b, '{type,blob}', '{}');
    elsif kind = 'file' then
      perform savefile.check_keys('a file block', b, '{type,blob}', '{name,kept}');
      perform savefile.check_types('a file block', b, 'string', '{name}');
      perform savefile.check_types('a file block', b, 'boolean', '{kept}');
    elsif kind = 'structured' then
      perform savefile.check_keys('a structured block', b, '{type,json}', '{}');
      perform savefile.check_types('a structured block', b, 'string', '{json}');
    else
      perform savefile.not_valid('people write text, image, file and structured blocks');
    end if;
    r := b -> 'blob';
    if r is not null then
      perform savefile.check_keys('a blob', r, '{hash,bytes,mediaType}', '{}');
      perform savefile.check_types('a blob', r, 'string', '{hash,mediaType}');
      if (r ->> 'bytes') !~ '^(0|[1-9][0-9]{0,14})$' or json_typeof(r -> 'bytes') <> 'number' then perform savefile.not_valid('a blob has bytes'); end if;
      perform from savefile.lineage l
      join savefile.blob_refs x on x.space_id = l.space_id and x.session_id = l.src and x.hash = r ->> 'hash' and x.seq <= l.hi
      where l.space_id = p_space and l.session_id = p_session;
      if not found then perform savefile.not_valid('the session does not refer to that blob'); end if;
    end if;
  end loop;
end $$;

-- contract/events.ts, of the events that people append. p_subject, p_definition: what the payload must say as well.
create function savefile.check_payload(p_space text, p_session text, p_type text, p_subject text, p_definition text, p json)
returns void language plpgsql as $$
begin
  case p_type
    when 'message_received' then
      perform savefile.check_keys(p_type, p, '{blocks,delivery}', '{}');
      if coalesce(p ->> 'delivery', '') not in ('queue', 'steer', 'interrupt') then perform savefile.not_valid('no such delivery'); end if;
      perform savefile.check_blocks(p_space, p_session, p -> 'blocks');
    when 'approval_resolved' then
      perform savefile.check_keys(p_type, p, '{call,decision}', '{scope,note,args}');
      perform savefile.check_types(p_type, p, 'string', '{call,decision,scope,note,args}');
      if p ->> 'decision' not in ('allow', 'deny') or p ->> 'scope' not in ('once', 'session') then perform savefile.not_valid('no such decision'); end if;
      if p ->> 'args' is not null and json_typeof((p ->> 'args')::json) <> 'object' then perform savefile.not_valid('args is no object'); end if;
    when 'tool_finished' then
      perform savefile.check_keys(p_type, p, '{call,tool,outcome,blocks}', '{code}');
      perform savefile.check_types(p_type, p, 'string', '{call,tool,outcome,code}');
      if p ->> 'outcome' not in ('ok', 'error') then perform savefile.not_valid('a deferred call ends ok or with an error'); end if;
      perform savefile.check_blocks(p_space, p_session, p -> 'blocks');
    when 'result_arrived_late' then
      perform savefile.check_keys(p_type, p, '{call,tool,outcome,blocks}', '{}');
      perform savefile.check_types(p_type, p, 'string', '{call,tool,outcome}');
      if p ->> 'outcome' not in ('ok', 'error') then perform savefile.not_valid('a deferred call ends ok or with an error'); end if;
      perform savefile.check_blocks(p_space, p_session, p -> 'blocks');
    when 'definition_changed' then
      perform savefile.check_keys(p_type, p, '{definition,from,changed}', '{why}');
      perform savefile.check_types(p_type, p, 'string', '{definition,from,why}');
      perform savefile.check_types(p_type, p, 'array', '{changed}');
      if exists (select from json_array_elements(p -> 'changed') c where json_typeof(c) <> 'string') or p ->> 'from' !~ '^sha256:[0-9a-f]{64}$' then
        perform savefile.not_valid('what changed is no list of names');
      end if;
    when 'session_closed' then
      perform savefile.check_keys(p_type, p, '{}', '{reason}');
      perform savefile.check_types(p_type, p, 'string', '{reason}');
    else
      perform savefile.not_valid('a person does not append ' || p_type);
  end case;
  if p ->> 'call' is distinct from p_subject and p_type in ('approval_resolved', 'tool_finished', 'result_arrived_late')
    or p_type = 'definition_changed' and p ->> 'definition' is distinct from p_definition then
    perform savefile.not_valid('the payload says another thing than its arguments');
  end if;
end $$;

-- A tool call as its answer has it, and its tool as the definition does; no row where the log has no such call.
create function savefile.call_spec(p_space text, p_session text, p_call text, out call json, out tool json)
language sql stable as $$
  select b.value, t.value
  from savefile.lineage l
  join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq between l.lo and l.hi
    and e.key = 'x:model@' || substring(p_call from ':([0-9]+)[.][0-9]+$') and e.type = 'model_answered' and e.kid is null
  cross join lateral (select convert_from(e.payload, 'UTF8')::json as body) p
  cross join lateral json_array_elements(p.body -> 'blocks') b
  join savefile.definitions d on d.space_id = p_space and d.hash = p.body -> 'manifest' ->> 'definition'
  cross join lateral json_array_elements(convert_from(d.body, 'UTF8')::json -> 'tools') t
  where l.space_id = p_space and l.session_id = p_session
    and b.value ->> 'type' = 'tool_call' and b.value ->> 'call' = p_call and t.value ->> 'name' = b.value ->> 'name'
  limit 1
$$;

create function savefile.token_principal() returns text
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  return (select h.principal from savefile.holder(current_setting('savefile.token', true)) h);
end $$;

-- Who stored a definition may use it, before any session refers to it.
create table savefile.definition_offers (
  space_id text not null,
  hash text not null,
  principal text not null,
  primary key (space_id, hash, principal)
);
alter table savefile.definition_offers enable row level security;
create policy trusted on savefile.definition_offers for select to savefile_writer, savefile_backup using (true);
create policy by_token on savefile.definition_offers for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space()) and principal = (select savefile.token_principal()));
grant select on savefile.definition_offers to savefile_writer, savefile_reader, savefile_member;
create policy offered on savefile.definitions for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space()) and exists (
    select from savefile.definition_offers o where o.space_id = definitions.space_id and o.hash = definitions.hash));

-- Whether the speaker may name this definition: it stored it, or may read a session that refers to it.
create function savefile.may_use(p_space text, p_principal text, p_definition text) returns boolean
language plpgsql as $$
begin
  perform from savefile.definition_offers o where o.space_id = p_space and o.hash = p_definition and o.principal = p_principal;
  if found then return true; end if;
  perform set_config('savefile.scope', '', true);
  return exists (
    select from savefile.session_definitions d
    where d.space_id = p_space and d.definition = p_definition
      and (savefile.token_owns() or d.seq <= (savefile.token_reach() ->> d.session_id)::bigint));
end $$;

create function savefile.whoami(out space_id text, out principal text, out rights text[])
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select h.space_id, h.principal, h.space_rights from savefile.holder(current_setting('savefile.token', true)) h
$$;

create function savefile.member_put_definition(p_space text, p_body text) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  w record;
  name text;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here then perform savefile.forbid('create'); end if;
  if not w.space_rights && array['create', 'own']
    and not exists (select from savefile.held_grants(p_space, w.principal, w.grant_id) g where 'own' = any (g.rights)) then
    perform savefile.forbid('own');
  end if;
  name := savefile.put_definition(p_space, p_body);
  insert into savefile.definition_offers (space_id, hash, principal) values (p_space, name, w.principal) on conflict do nothing;
  return name;
end $$;

create function savefile.member_input(
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
  perform savefile.check_payload(p_space, p_session, p_type, p_subject, p_definition, p_payload::json);
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

create function savefile.new_grant() returns text language sql volatile as $$
  select 'g' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
$$;

-- Who makes a session owns it.
create function savefile.member_create_session(
  p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  w record;
  p json := p_payload::json;
  status text;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here or not w.space_rights && array['create', 'own'] then perform savefile.forbid('create'); end if;
  if p_v not between 1 and 99 or p_session !~ '^[a-z0-9][a-z0-9_-]{0,63}$' then perform savefile.not_valid('no such version, or no session''s id'); end if;
  perform savefile.check_keys('session_created', p, '{definition,origin}', '{title,labels,workFolder}');
  if p ->> 'definition' is distinct from p_definition or p -> 'origin' ->> 'kind' is distinct from 'new' then
    perform savefile.not_valid('the payload says another thing than its arguments');
  end if;
  if not savefile.may_use(p_space, w.principal, p_definition) then return 'definition_not_found'; end if;
  status := savefile.create_session(p_space, p_session, w.actor, p_definition, p_title, p_labels, p_v, p_payload);
  if status = 'created' then
    perform savefile.grant_session(p_space, p_session, w.actor, savefile.new_grant(), w.principal, '{own}', false, null, null, null);
  end if;
  return status;
end $$;

-- Who forks may read, extend and fork what they made, and has of the rights over the worker's world (to approve, to own: other tools,
-- another folder) what they have in the parent; who may create sessions owns the fork.
create function savefile.member_fork_session(
  p_space text, p_parent text, p_seq bigint, p_hash bytea, p_child text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
  p json := p_payload::json;
  owns boolean;
  status text;
begin
  select * into m from savefile.may(p_space, p_parent, array['fork']);
  if not m.there then return 'session_not_found'; end if;
  owns := 'own' = any (m.rights) or m.space_rights && array['create', 'own'];
  if p_v not between 1 and 99 or p_child !~ '^[a-z0-9][a-z0-9_-]{0,63}$' then perform savefile.not_valid('no such version, or no session''s id'); end if;
  if p ->> 'parent' is distinct from p_parent or p ->> 'seq' is distinct from p_seq::text or p ->> 'hash' is distinct from encode(p_hash, 'hex')
    or p ->> 'definition' is distinct from p_definition then
    perform savefile.not_valid('the payload says another thing than its arguments');
  end if;
  if p_definition is distinct from savefile.definition_at(p_space, p_parent, p_seq) then
    if not owns then perform savefile.forbid('own'); end if;
    if not savefile.may_use(p_space, substr(m.actor, 6), p_definition) then return 'definition_not_found'; end if;
  end if;
  -- Nor to run again what is not safe to repeat, nor to tell the model what is not so.
  if not owns and (p ->> 'open' is distinct from 'rule'
    or exists (select from json_object_keys(p) k where k not in ('parent', 'seq', 'hash', 'definition', 'title', 'labels', 'open', 'quiet'))) then
    perform savefile.forbid('own');
  end if;
  status := savefile.fork_session(p_space, p_parent, p_seq, p_hash, p_child, m.actor, p_definition, p_title, p_labels, p_v, p_payload);
  if status = 'created' then
    perform savefile.grant_session(p_space, p_child, m.actor, savefile.new_grant(), substr(m.actor, 6),
      case when owns then array['own'] when 'approve' = any (m.rights) then array['read', 'extend', 'approve', 'fork'] else array['read', 'extend', 'fork'] end,
      false, null, null, null);
  end if;
  return status;
end $$;

create function savefile.member_put_blob(p_space text, p_session text, p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if not (savefile.may(p_space, p_session, array['extend', 'approve'])).there then return null; end if;
  if octet_length(p_content) > 67108864 then perform savefile.not_valid('a blob has at most 67108864 bytes'); end if;
  return savefile.put_blob(p_space, p_session, p_media_type, p_content);
end $$;

create function savefile.member_grant_session(
  p_space text, p_session text, p_actor text, p_grant text, p_principal text, p_rights text[], p_forks boolean, p_expires bigint, p_label text,
  p_link bytea, out status text, out seq bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  select g.status, g.seq into status, seq
  from savefile.grant_session(p_space, p_session, m.actor, p_grant, p_principal, p_rights, p_forks, p_expires, p_label, p_link) g;
end $$;

create function savefile.member_revoke_grant(p_space text, p_session text, p_actor text, p_grant text, out status text, out seq bigint)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  select g.status, g.seq into status, seq from savefile.revoke_grant(p_space, p_session, m.actor, p_grant) g;
end $$;

-- An owner sees what reaches its session.
create function savefile.member_list_grants(p_space text, p_session text)
returns table (grant_id text, session_id text, seq bigint, principal text, rights text[], forks boolean, label text, granted_at bigint, granted_by text,
  expires_at bigint, revoked_at bigint)
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if (savefile.may(p_space, p_session, array['own'])).there then return query select * from savefile.list_grants(p_space, p_session); end if;
end $$;

-- Who owns the space makes tokens for anybody; everybody sees, and may end, their own. A link's holder has none.
create function savefile.member_create_token(
  p_space text, p_actor text, p_principal text, p_rights text[], p_hash bytea, p_expires bigint, p_label text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here or not 'own' = any (w.space_rights) then perform savefile.forbid('own'); end if;
  return savefile.create_token(p_space, w.actor, p_principal, p_rights, p_hash, p_expires, p_label);
end $$;

create function savefile.member_list_tokens(p_space text, p_principal text)
returns table (token_id text, principal text, rights text[], label text, created_at bigint, created_by text, expires_at bigint, revoked_at bigint)
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here then return; end if;
  return query select * from savefile.list_tokens(p_space, case when 'own' = any (w.space_rights) then p_principal else w.principal end);
end $$;

create function savefile.member_revoke_token(p_space text, p_principal text, p_token_id text) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here then return 'token_not_found'; end if;
  return savefile.revoke_token(p_space, case when 'own' = any (w.space_rights) then p_principal else w.principal end, p_token_id);
end $$;

revoke all on all functions in schema savefile from public;
grant execute on function savefile.token_principal() to savefile_reader, savefile_member;
grant execute on function
  savefile.whoami(),
  savefile.member_put_definition(text, text),
  savefile.member_input(text, text, text, text, text, integer, text, text, text),
  savefile.member_create_session(text, text, text, text, text, text, integer, text),
  savefile.member_fork_session(text, text, bigint, bytea, text, text, text, text, text, integer, text),
  savefile.member_put_blob(text, text, text, bytea),
  savefile.member_grant_session(text, text, text, text, text, text[], boolean, bigint, text, bytea),
  savefile.member_revoke_grant(text, text, text, text),
  savefile.member_list_grants(text, text),
  savefile.member_create_token(text, text, text, text[], bytea, bigint, text),
  savefile.member_list_tokens(text, text),
  savefile.member_revoke_token(text, text, text)
to savefile_member;
