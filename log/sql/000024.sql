-- Bundles with keys (docs/bundle.md): the data key of a session comes as it lies where it came from, wrapped with its owner's key.

-- Nothing brings back a key that was destroyed here, or of which the log here says so.
create function savefile.import_key(p_space text, p_session text, p_kid text, p_owner text, p_wrapped bytea) returns void
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if s.kid is distinct from p_kid then
    raise exception 'savefile: the key % is not that of session %', p_kid, p_session using errcode = 'data_corrupted';
  end if;
  if s.erased then return; end if;
  insert into savefile.session_keys (space_id, kid, session_id, owner, wrapped, created_at)
  values (p_space, p_kid, p_session, p_owner, p_wrapped, savefile.now_us()) on conflict do nothing;
end $$;

-- As in 000010.sql, and: where the log that comes says that its key was destroyed, it is destroyed here too.
create or replace function savefile.import_end(p_space text, p_session text, p_stub boolean, p_head bigint, p_hash bytea)
returns boolean language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
begin
  update savefile.sessions x set custody = case when p_stub then 'stub' else 'inert' end
  where x.space_id = p_space and x.session_id = p_session and x.custody = 'arriving' and x.head = p_head and x.head_hash = p_hash
    and exists (select from savefile.definitions d where d.space_id = p_space and d.hash = x.definition)
  returning * into s;
  if not found then return false; end if;
  if s.kid is not null and not s.erased and savefile.own_seq(p_space, p_session, savefile.structural_key('key_destroyed', s.kid)) is not null then
    update savefile.sessions x set title = null, erased = true where x.space_id = p_space and x.session_id = p_session;
    perform savefile.erase_session(p_space, p_session, 'user:import', 1, 1, null);
  end if;
  return true;
end $$;

revoke all on function savefile.import_key(text, text, text, text, bytea) from public;
grant execute on function savefile.import_key(text, text, text, text, bytea) to savefile_writer;
