-- Appends that share a statement, or cost less, and a grant's id that two sessions give at once.
-- A grant, and its event. The payload is written here, so that the event and the row can't say different things. p_link: the sha256 of a
-- share link's token, for p_principal null. The same grant again is a duplicate.
create or replace function savefile.grant_session(
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
  -- A grant's id is of its whole space: who gives the same one in another session comes second, and is told.
  perform pg_advisory_xact_lock(hashtextextended('savefile.grant ' || p_space || ' ' || p_grant, 0));
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
  -- Its event may have come with an import, without the grant, which was given elsewhere.
  seq := savefile.own_seq(p_space, p_session, 'x:granted:' || p_grant);
  if seq is not null then status := 'idempotency_conflict'; return; end if;
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


-- Conditions of triggers are planned anew with every statement, which cost an append a tenth of its time. An imported session's key is set
-- where its events come in; whether a head may move is asked inside of the trigger.
drop trigger own_key on savefile.events;
drop function savefile.own_key();
-- As in 000010.sql, and: an imported session has the key that its first event names.
create or replace function savefile.import_events(
  p_space text, p_session text, p_types text[], p_vs integer[], p_ats bigint[], p_actors text[], p_keys text[], p_kids text[],
  p_definitions text[], p_lengths integer[], p_payloads bytea, p_hashes bytea
) returns bigint language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  n integer := array_length(p_types, 1);
  written integer;
  last_hash bytea := substring(p_hashes from (array_length(p_types, 1) - 1) * 32 + 1 for 32);
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if s.custody is distinct from 'arriving' then
    raise exception 'savefile: session % takes no imported events', p_session using errcode = 'object_not_in_prerequisite_state';
  end if;
  insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
  select p_space, p_session, q.seq, q.type, q.v, q.at, q.actor, q.key, q.kid, q.payload, q.prev_hash, q.hash
  from (
    select s.head + u.i as seq, u.type, u.v, u.at, u.actor, u.key, u.kid, substring(p_payloads from (u.upto - u.bytes + 1)::integer for u.bytes) as payload,
      case u.i when 1 then s.head_hash else substring(p_hashes from ((u.i - 2) * 32 + 1)::integer for 32) end as prev_hash,
      substring(p_hashes from ((u.i - 1) * 32 + 1)::integer for 32) as hash, u.before
    from (
      select r.*, sum(r.bytes) over (order by r.i) as upto, coalesce(lag(r.at) over (order by r.i), s.head_at) as before
      from unnest(p_types, p_vs, p_ats, p_actors, p_keys, p_kids, p_lengths) with ordinality r (type, v, at, actor, key, kid, bytes, i)) u
    offset 0) q
  where q.at >= q.before and q.key like any ('{p:_%,x:_%}')
    and q.hash = savefile.event_hash(q.prev_hash, p_session, q.seq, q.type, q.v, q.at, q.actor, q.key, q.kid, q.payload);
  get diagnostics written = row_count;
  if written <> n then
    raise exception 'savefile: % of the events % to % of session % are not what their hashes say', n - written, s.head + 1, s.head + n, p_session
      using errcode = 'data_corrupted';
  end if;
  insert into savefile.session_definitions (space_id, session_id, seq, definition)
  select p_space, p_session, s.head + u.i, u.definition from unnest(p_definitions) with ordinality u (definition, i) where u.definition is not null;
  update savefile.sessions x set
    head = s.head + n, head_hash = last_hash, head_at = p_ats[n], updated_at = p_ats[n],
    created_at = case when x.created_at = 0 then p_ats[1] else x.created_at end,
    definition = coalesce((select u.definition from unnest(p_definitions) with ordinality u (definition, i) where u.definition is not null order by u.i desc limit 1), x.definition),
    kid = coalesce(x.kid, (
      select u.kid from unnest(p_types, p_kids) with ordinality u (type, kid, i)
      where u.type in ('session_created', 'forked') and u.kid is not null order by u.i limit 1)),
    closed = x.closed or 'session_closed' = any (p_types),
    finished_seq = greatest(x.finished_seq, (select s.head + max(u.i) from unnest(p_types) with ordinality u (type, i) where u.type = 'turn_finished')),
    answer_seq = greatest(x.answer_seq, (select s.head + max(u.i) from unnest(p_types) with ordinality u (type, i) where u.type in ('model_answered', 'model_failed'))),
    custody_seq = greatest(x.custody_seq, (select s.head + max(u.i) from unnest(p_types) with ordinality u (type, i) where u.type = 'custody_taken'))
  where x.space_id = p_space and x.session_id = p_session;
  return s.head + n;
end $$;

create or replace function savefile.refuse_to_extend() returns trigger language plpgsql as $$
begin
  if old.custody in ('inert', 'stub') and new.custody = old.custody and new.head <> old.head then
    raise exception 'savefile: session % is %, and takes no event until it is adopted', old.session_id, old.custody
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  return new;
end $$;
drop trigger custody on savefile.sessions;
create trigger custody before update on savefile.sessions for each row execute function savefile.refuse_to_extend();
alter table savefile.sessions enable always trigger custody;

-- As in 000019.sql, and: each row by its key, with or without statistics (as 000018.sql has it).
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
    where x.kid is not null and (b.media_type <> 'application/vnd.savefile.sealed' or substring(b.content from 1 for 4) <> '\x53464501'::bytea)
      -- What it inherits from a parent in clear is what it is.
      and not exists (
        select from savefile.lineage l join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = n.hash
        where l.space_id = n.space_id and l.session_id = n.session_id and l.src <> n.session_id) limit 1;
  end if;
  if clear is not null then perform savefile.refuse_clear(clear); end if;
  return null;
end $$;

-- Appends of many sessions in one transaction, for one process: the cost of a statement and of a commit is shared. A session whose row
-- somebody else has at this moment is left out (`busy`), so that nobody waits for two rows; the caller then comes with that one alone.
create function savefile.is_busy(p_space text, p_session text) returns boolean language plpgsql as $$
begin
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update skip locked;
  return not found and exists (select from savefile.sessions x where x.space_id = p_space and x.session_id = p_session);
end $$;

create function savefile.input_many(
  p_spaces text[], p_sessions text[], p_actors text[], p_keys text[], p_types text[], p_vs integer[], p_subjects text[], p_payloads text[], p_definitions text[]
) returns table (n integer, status text, seq bigint, head bigint)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  for i in 1 .. cardinality(p_spaces) loop
    n := i; seq := null; head := null;
    if savefile.is_busy(p_spaces[i], p_sessions[i]) then status := 'busy';
    else
      select r.status, r.seq, r.head into status, seq, head
      from savefile.input(p_spaces[i], p_sessions[i], p_actors[i], p_keys[i], p_types[i], p_vs[i], p_subjects[i], p_payloads[i], p_definitions[i]) r;
    end if;
    return next;
  end loop;
end $$;

-- p_counts: how many of the events, which stand one after the other, are of each append.
create function savefile.append_many(
  p_spaces text[], p_sessions text[], p_epochs bigint[], p_heads bigint[], p_counts integer[], p_states text[], p_dues bigint[],
  p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[]
) returns table (n integer, status text, head bigint, seqs bigint[])
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  a integer := 1; z integer;
begin
  for i in 1 .. cardinality(p_spaces) loop
    n := i; head := null; seqs := null; z := a + p_counts[i] - 1;
    if savefile.is_busy(p_spaces[i], p_sessions[i]) then status := 'busy';
    else
      select r.status, r.head, r.seqs into status, head, seqs
      from savefile.append(p_spaces[i], p_sessions[i], p_epochs[i], p_heads[i],
        p_types[a:z], p_vs[a:z], p_subjects[a:z], p_tools[a:z], p_payloads[a:z], p_drafts[a:z], p_states[i], p_dues[i]) r;
    end if;
    a := z + 1;
    return next;
  end loop;
end $$;

revoke all on function savefile.is_busy(text, text) from public;
revoke all on function savefile.input_many(text[], text[], text[], text[], text[], integer[], text[], text[], text[]) from public;
grant execute on function savefile.input_many(text[], text[], text[], text[], text[], integer[], text[], text[], text[]) to savefile_writer;
revoke all on function savefile.append_many(text[], text[], bigint[], bigint[], integer[], text[], bigint[], text[], integer[], text[], text[], text[], text[]) from public;
grant execute on function savefile.append_many(text[], text[], bigint[], bigint[], integer[], text[], bigint[], text[], integer[], text[], text[], text[], text[]) to savefile_writer;
