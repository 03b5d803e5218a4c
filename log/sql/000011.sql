-- Sharing (DESIGN.md section 9): who holds which right, and the functions that change it. Rows here say what holds now; that it was granted
-- or revoked is an event of the session, written in the same transaction. docs/sharing.md has the model.

-- A principal's rights over the whole space, beside what grants give: `create` sessions, `own` all of them. Few; no session's log has them.
create table savefile.principals (
  space_id text not null,
  principal text not null,
  rights text[] not null default '{}',
  created_at bigint not null,
  created_by text not null,
  primary key (space_id, principal),
  constraint principals_rights check (rights <@ array['create', 'own'])
);

-- A token is 256 random bits that only its holder has; here is its sha256. It says the space, so this is the one key that does not begin
-- with it (a reference table where spaces are spread over machines). A share link is a token of a grant, of no principal.
create table savefile.tokens (
  hash bytea primary key,
  space_id text not null,
  token_id text not null,
  principal text,
  grant_id text,
  label text,
  created_at bigint not null,
  created_by text not null,
  expires_at bigint,
  revoked_at bigint,
  constraint tokens_of_one check ((principal is null) <> (grant_id is null)),
  constraint tokens_hash check (octet_length(hash) = 32)
);
create unique index tokens_named on savefile.tokens (space_id, token_id);

create table savefile.grants (
  space_id text not null,
  grant_id text not null,
  -- Where it was given, and the seq of its event there.
  session_id text not null,
  seq bigint not null,
  -- Null: whoever has the link.
  principal text,
  rights text[] not null,
  forks boolean not null,
  label text,
  granted_at bigint not null,
  granted_by text not null,
  expires_at bigint,
  revoked_at bigint,
  primary key (space_id, grant_id),
  constraint grants_rights check (rights <@ array['read', 'extend', 'approve', 'fork', 'own'] and rights <> '{}')
);
create index grants_of_principal on savefile.grants (space_id, principal);

-- Which sessions a grant reaches: the one that it was given for, and where it covers forks those made since. Whether it still holds is
-- asked of the grant itself, so that an expiry or a revocation counts everywhere at once.
create table savefile.reach (
  space_id text not null,
  session_id text not null,
  grant_id text not null,
  revoked_at bigint,
  primary key (space_id, session_id, grant_id)
);
create index reach_of_grant on savefile.reach (space_id, grant_id);

-- Whatever makes a session with a parent, its grants come along here.
create function savefile.reach_fork() returns trigger language plpgsql as $$
begin
  insert into savefile.reach (space_id, session_id, grant_id)
  select new.space_id, new.session_id, r.grant_id from savefile.reach r
  join savefile.grants g on g.space_id = r.space_id and g.grant_id = r.grant_id
  where r.space_id = new.space_id and r.session_id = new.parent_id and g.forks and g.revoked_at is null and r.revoked_at is null;
  return null;
end $$;
create trigger reach_fork after insert on savefile.sessions for each row when (new.parent_id is not null) execute function savefile.reach_fork();

-- From which event on a log refers to a blob: a fork of an earlier one has nothing to do with it. (References of before this column: 0.)
alter table savefile.blob_refs add column seq bigint not null default 0;
create index blob_refs_of_blob on savefile.blob_refs (space_id, hash);
create index session_definitions_of_definition on savefile.session_definitions (space_id, definition);

create or replace function savefile.put_blob(p_space text, p_session text, p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  name text := 'sha256:' || encode(sha256(p_content), 'hex');
  next bigint;
begin
  select x.head + 1 into next from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for key share;
  if not found then return null; end if;
  insert into savefile.blobs (space_id, hash, media_type, created_at, content)
  values (p_space, name, p_media_type, savefile.now_us(), p_content) on conflict do nothing;
  -- The event that needs it comes after the reference: never below the next seq.
  insert into savefile.blob_refs (space_id, session_id, hash, seq) values (p_space, p_session, name, next) on conflict do nothing;
  return name;
end $$;

create or replace function savefile.get_blob(p_space text, p_session text, p_hash text) returns bytea
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select b.content from savefile.blobs b
  where b.space_id = p_space and b.hash = p_hash and exists (
    select from savefile.lineage l
    join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = p_hash and r.seq <= l.hi
    where l.space_id = p_space and l.session_id = p_session)
$$;

create function savefile.check_principal(p_principal text) returns void language plpgsql immutable as $$
begin
  if p_principal !~ '^[\x21-\x7e]{1,200}$' then
    raise exception 'savefile: a principal is 1 to 200 printable ASCII characters without spaces' using errcode = 'invalid_parameter_value';
  end if;
end $$;

-- Appends an event that no lease and no open turn has to do with, also behind the end of a session. Whoever calls it holds the row.
create function savefile.add_beside(p_session savefile.sessions, p_type text, p_actor text, p_key text, p_payload text) returns bigint
language plpgsql as $$
declare
  at bigint := greatest(savefile.now_us(), p_session.head_at);
  h bytea := savefile.add_event(p_session.space_id, p_session.session_id, p_session.head + 1, p_session.head_hash, at, p_type, 1, p_actor, p_key,
    convert_to(p_payload, 'UTF8'));
begin
  update savefile.sessions x set head = p_session.head + 1, head_hash = h, head_at = at, updated_at = at
  where x.space_id = p_session.space_id and x.session_id = p_session.session_id;
  return p_session.head + 1;
end $$;

-- What holds of a right: to approve or to fork is to see; to own is all.
create function savefile.full_rights(p_rights text[]) returns text[] language sql immutable as $$
  select case
    when 'own' = any (p_rights) then array['read', 'extend', 'approve', 'fork', 'own']
    else array(select r from unnest(array['read', 'extend', 'approve', 'fork']) with ordinality o (r, n)
      where r = any (p_rights) or (r = 'read' and p_rights && array['approve', 'fork']) order by n) end
$$;

-- A grant, and its event. The payload is written here, so that the event and the row can't say different things. p_link: the sha256 of a
-- share link's token, for p_principal null. The same grant again is a duplicate.
create function savefile.grant_session(
  p_space text, p_session text, p_actor text, p_grant text, p_principal text, p_rights text[], p_forks boolean, p_expires bigint, p_label text,
  p_link bytea, out status text, out seq bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  g savefile.grants;
  rights text[] := savefile.full_rights(p_rights);
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  if p_grant !~ '^[a-z0-9]{1,64}$' then raise exception 'savefile: a grant''s id is 1 to 64 of a-z and 0-9'; end if;
  if (p_principal is null) <> (p_link is not null) then raise exception 'savefile: a grant is to a principal, or a link'; end if;
  if cardinality(rights) = 0 or not p_rights <@ array['read', 'extend', 'approve', 'fork', 'own'] then
    raise exception 'savefile: rights are read, extend, approve, fork, own';
  end if;
  perform savefile.check_principal(p_principal);
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  if s.custody <> 'live' then status := s.custody; return; end if;
  select * into g from savefile.grants x where x.space_id = p_space and x.grant_id = p_grant;
  if found then
    seq := g.seq;
    status := case when (g.session_id, g.rights, g.forks) = (p_session, rights, p_forks) and g.principal is not distinct from p_principal
      and g.expires_at is not distinct from p_expires then 'duplicate' else 'idempotency_conflict' end;
    return;
  end if;
  seq := savefile.add_beside(s, 'granted', p_actor, 'x:granted:' || p_grant,
    '{"grant":' || to_json(p_grant) || ',"principal":' || coalesce(to_json(p_principal)::text, 'null') || ',"rights":' || to_json(rights)
    || ',"forks":' || p_forks || coalesce(',"expiresAt":' || p_expires, '') || coalesce(',"label":' || to_json(p_label), '') || '}');
  insert into savefile.grants (space_id, grant_id, session_id, seq, principal, rights, forks, label, granted_at, granted_by, expires_at)
  values (p_space, p_grant, p_session, seq, p_principal, rights, p_forks, p_label, savefile.now_us(), p_actor, p_expires);
  insert into savefile.reach (space_id, session_id, grant_id) values (p_space, p_session, p_grant);
  if p_link is not null then
    insert into savefile.tokens (hash, space_id, token_id, grant_id, label, created_at, created_by, expires_at)
    values (p_link, p_space, 'link-' || p_grant, p_grant, p_label, savefile.now_us(), p_actor, p_expires);
  end if;
  status := 'appended';
end $$;

-- At the session that it was given for, a grant ends everywhere; at a fork that it reaches, it ends there.
create function savefile.revoke_grant(p_space text, p_session text, p_actor text, p_grant text, out status text, out seq bigint)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  if s.custody <> 'live' then status := s.custody; return; end if;
  perform from savefile.reach r where r.space_id = p_space and r.session_id = p_session and r.grant_id = p_grant;
  if not found then status := 'grant_not_found'; return; end if;
  seq := savefile.own_seq(p_space, p_session, 'x:revoked:' || p_grant);
  if seq is not null then status := 'duplicate'; return; end if;
  seq := savefile.add_beside(s, 'revoked', p_actor, 'x:revoked:' || p_grant, '{"grant":' || to_json(p_grant) || '}');
  update savefile.reach r set revoked_at = savefile.now_us() where r.space_id = p_space and r.session_id = p_session and r.grant_id = p_grant;
  update savefile.grants g set revoked_at = savefile.now_us() where g.space_id = p_space and g.grant_id = p_grant and g.session_id = p_session;
  -- A link ends with its grant, and so does what its holder made by it.
  if found then update savefile.tokens t set revoked_at = savefile.now_us() where t.space_id = p_space and t.grant_id = p_grant; end if;
  status := 'appended';
end $$;

-- What reaches a session, the ended ones included.
create function savefile.list_grants(p_space text, p_session text)
returns table (grant_id text, session_id text, seq bigint, principal text, rights text[], forks boolean, label text, granted_at bigint, granted_by text,
  expires_at bigint, revoked_at bigint)
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select g.grant_id, g.session_id, g.seq, g.principal, g.rights, g.forks, g.label, g.granted_at, g.granted_by, g.expires_at,
    coalesce(g.revoked_at, r.revoked_at)
  from savefile.reach r join savefile.grants g on g.space_id = r.space_id and g.grant_id = r.grant_id
  where r.space_id = p_space and r.session_id = p_session order by g.granted_at, g.grant_id
$$;

-- A token of a principal, whose row is made where it is missing. p_rights: over the space; null leaves what there is.
create function savefile.create_token(
  p_space text, p_actor text, p_principal text, p_rights text[], p_hash bytea, p_expires bigint, p_label text
) returns text language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  id text := 't' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12);
begin
  perform savefile.check_principal(p_principal);
  -- The holder of a share link is called link:<grant>, and nobody else is.
  if p_principal like 'link:%' or p_principal is null then
    raise exception 'savefile: no principal is called so' using errcode = 'invalid_parameter_value';
  end if;
  insert into savefile.principals (space_id, principal, rights, created_at, created_by)
  values (p_space, p_principal, coalesce(p_rights, '{}'), savefile.now_us(), p_actor)
  on conflict (space_id, principal) do update set rights = coalesce(p_rights, principals.rights);
  insert into savefile.tokens (hash, space_id, token_id, principal, label, created_at, created_by, expires_at)
  values (p_hash, p_space, id, p_principal, p_label, savefile.now_us(), p_actor, p_expires);
  return id;
end $$;

-- p_principal: only this one's; null: all, links apart (they end with their grant).
create function savefile.list_tokens(p_space text, p_principal text)
returns table (token_id text, principal text, rights text[], label text, created_at bigint, created_by text, expires_at bigint, revoked_at bigint)
language sql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
  select t.token_id, t.principal, p.rights, t.label, t.created_at, t.created_by, t.expires_at, t.revoked_at
  from savefile.tokens t join savefile.principals p on p.space_id = t.space_id and p.principal = t.principal
  where t.space_id = p_space and t.principal = coalesce(p_principal, t.principal) order by t.created_at, t.token_id
$$;

create function savefile.revoke_token(p_space text, p_principal text, p_token_id text) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  update savefile.tokens t set revoked_at = coalesce(t.revoked_at, savefile.now_us())
  where t.space_id = p_space and t.token_id = p_token_id and t.principal = coalesce(p_principal, t.principal);
  return case when found then 'revoked' else 'token_not_found' end;
end $$;

-- Who holds this token now; no row where nobody does. Not for callers: functions that run as the owner ask it.
create function savefile.holder(p_token text, out space_id text, out principal text, out grant_id text, out space_rights text[])
language sql stable as $$
  select t.space_id, coalesce(t.principal, 'link:' || t.grant_id), t.grant_id, coalesce(p.rights, '{}')
  from savefile.tokens t left join savefile.principals p on p.space_id = t.space_id and p.principal = t.principal
  where t.hash = sha256(convert_to(p_token, 'UTF8')) and t.revoked_at is null and (t.expires_at is null or t.expires_at > savefile.now_us())
$$;

-- The grants that count for a holder now, with the sessions that they reach.
create function savefile.held_grants(p_space text, p_principal text, p_grant text)
returns table (session_id text, rights text[]) language sql stable as $$
  select r.session_id, g.rights from savefile.grants g
  join savefile.reach r on r.space_id = g.space_id and r.grant_id = g.grant_id and r.revoked_at is null
  where g.space_id = p_space and g.revoked_at is null and (g.expires_at is null or g.expires_at > savefile.now_us())
    and (g.principal = p_principal or g.grant_id = p_grant)
$$;

revoke all on all functions in schema savefile from public;
grant execute on function
  savefile.grant_session(text, text, text, text, text, text[], boolean, bigint, text, bytea),
  savefile.revoke_grant(text, text, text, text),
  savefile.list_grants(text, text),
  savefile.create_token(text, text, text, text[], bytea, bigint, text),
  savefile.list_tokens(text, text),
  savefile.revoke_token(text, text, text)
to savefile_writer;
