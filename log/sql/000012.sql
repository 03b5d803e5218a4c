-- Reading by token: row-level security for savefile_reader and savefile_member. The token comes in the setting `savefile.token`, for one
-- transaction: anybody can set it, and it opens nothing unless it is a secret that counts now. `savefile.scope`, a session's id, narrows
-- what is worked out to that session (it can't widen it), so that a read of one session costs the same for a holder of ten thousand.
-- Each policy asks once a query (the functions stand in sub-selects of their own): never once a row.

create function savefile.token_space() returns text
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  return (select h.space_id from savefile.holder(current_setting('savefile.token', true)) h);
end $$;

-- Whether the holder owns the whole space.
create function savefile.token_owns() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  return coalesce((select 'own' = any (h.space_rights) from savefile.holder(current_setting('savefile.token', true)) h), false);
end $$;

-- Up to which seq the holder may read which log's own rows: of a session that a grant reaches all of them, of the logs that it inherits
-- from only the inherited stretch.
create function savefile.token_reach() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  h record;
  scope text := nullif(current_setting('savefile.scope', true), '');
begin
  select * into h from savefile.holder(current_setting('savefile.token', true));
  if h.space_id is null then return null; end if;
  return (
    with opened as materialized (
      select distinct g.session_id from savefile.held_grants(h.space_id, h.principal, h.grant_id) g
      where 'read' = any (g.rights) and (scope is null or g.session_id = scope))
    select jsonb_object_agg(y.src, y.hi) from (
      select x.src, max(x.hi) as hi from (
        select o.session_id as src, 9223372036854775807 as hi from opened o
        union all
        select l.src, l.hi from opened o join savefile.lineage l on l.space_id = h.space_id and l.session_id = o.session_id) x
      group by x.src) y);
end $$;

-- These four read what their caller may: the writer all, others what the policies leave.
alter function savefile.read_events(text, text, bigint, bigint, bigint) security invoker;
alter function savefile.definition_at(text, text, bigint) security invoker;
alter function savefile.get_blob(text, text, text) security invoker;
alter function savefile.live_since(text[], text[], text[], text[], text[], text[], bigint[]) security invoker;

alter table savefile.events enable row level security;
alter table savefile.lineage enable row level security;
alter table savefile.sessions enable row level security;
alter table savefile.session_definitions enable row level security;
alter table savefile.definitions enable row level security;
alter table savefile.blob_refs enable row level security;
alter table savefile.blobs enable row level security;
alter table savefile.drafts enable row level security;
alter table savefile.draft_deltas enable row level security;

-- Trusted logins see all: a condition that costs nothing. savefile_backup needs it for pg_dump --enable-row-security.
create policy trusted on savefile.events for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.lineage for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.sessions for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.session_definitions for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.definitions for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.blob_refs for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.blobs for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.drafts for select to savefile_writer, savefile_backup using (true);
create policy trusted on savefile.draft_deltas for select to savefile_writer, savefile_backup using (true);

create policy by_token on savefile.events for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or seq <= ((select savefile.token_reach()) ->> session_id)::bigint));
create policy by_token on savefile.session_definitions for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or seq <= ((select savefile.token_reach()) ->> session_id)::bigint));
create policy by_token on savefile.blob_refs for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or seq <= ((select savefile.token_reach()) ->> session_id)::bigint));
-- What is of a session as a whole, not of a stretch.
create policy by_token on savefile.sessions for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or ((select savefile.token_reach()) ->> session_id)::bigint = 9223372036854775807));
create policy by_token on savefile.lineage for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or ((select savefile.token_reach()) ->> session_id)::bigint = 9223372036854775807));
create policy by_token on savefile.drafts for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or ((select savefile.token_reach()) ->> session_id)::bigint = 9223372036854775807));
create policy by_token on savefile.draft_deltas for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space())
    and ((select savefile.token_owns()) or ((select savefile.token_reach()) ->> session_id)::bigint = 9223372036854775807));
-- Content by what refers to it, and that by its own policy.
create policy by_token on savefile.definitions for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space()) and exists (
    select from savefile.session_definitions d where d.space_id = definitions.space_id and d.definition = definitions.hash));
create policy by_token on savefile.blobs for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space()) and exists (
    select from savefile.blob_refs r where r.space_id = blobs.space_id and r.hash = blobs.hash));

grant usage on schema savefile to savefile_member, savefile_backup;
grant select on savefile.migrations to savefile_member;
grant select on savefile.events, savefile.lineage, savefile.sessions, savefile.session_definitions, savefile.definitions, savefile.blob_refs,
  savefile.blobs, savefile.draft_deltas to savefile_reader, savefile_member;
-- No more of a draft than it takes to follow its live text: what it holds comes as an event.
grant select (space_id, session_id, step, token, state) on savefile.drafts to savefile_reader, savefile_member;
grant select on savefile.principals, savefile.grants, savefile.reach to savefile_writer;
grant select on all tables in schema savefile to savefile_backup;
alter default privileges in schema savefile grant select on tables to savefile_backup;

revoke all on function savefile.token_space(), savefile.token_owns(), savefile.token_reach() from public;
grant execute on function savefile.token_space(), savefile.token_owns(), savefile.token_reach() to savefile_reader, savefile_member;
grant execute on function
  savefile.read_events(text, text, bigint, bigint, bigint),
  savefile.definition_at(text, text, bigint),
  savefile.get_blob(text, text, text),
  savefile.live_since(text[], text[], text[], text[], text[], text[], bigint[]),
  savefile.event_hash(bytea, text, bigint, text, integer, bigint, text, text, text, bytea),
  savefile.field(bytea),
  savefile.field(text)
to savefile_reader, savefile_member;
