-- Encryption and erasure (docs/erase.md). A session that is created encrypted has a data key, wrapped by its owner's key, which the database
-- never sees; it keeps what was encrypted, and sees to it that nothing comes in clear. The key's row stays when the key is destroyed.
create table savefile.session_keys (
  space_id text not null,
  kid text not null,
  session_id text not null,
  -- Which of the owner's keys it is wrapped with.
  owner text not null,
  wrapped bytea,
  created_at bigint not null,
  destroyed_at bigint,
  primary key (space_id, kid),
  constraint session_keys_destroyed check ((wrapped is null) or destroyed_at is null)
);
create index session_keys_of_session on savefile.session_keys (space_id, session_id);

-- Null: in clear. Settled by the first event.
alter table savefile.sessions add column kid text, add column erased boolean not null default false;
-- Who shares events with a session: looked for before it is erased.
create index lineage_shared on savefile.lineage (space_id, src) where src <> session_id;

-- 'SFKEY': this connection's process does not have the key that it should write with. log/pool.ts makes key_missing of it.
create function savefile.refuse_clear(p_session text) returns void language plpgsql as $$
begin
  raise exception 'savefile: session % is encrypted, and this was not with its key', p_session using errcode = 'SFKEY';
end $$;

-- The key that a text is sealed with, from the envelope's head (log/envelope.ts): `sealed:`, then base64 of "SFE" 1, a length, the kid, ...
-- Null: it is not sealed, as JSON never is.
create function savefile.sealed_kid(p_text bytea) returns text language plpgsql immutable as $$
declare
  head bytea;
begin
  if substring(p_text from 1 for 7) is distinct from 'sealed:'::bytea then return null; end if;
  head := decode(encode(substring(p_text from 8 for 136), 'escape'), 'base64');
  if substring(head from 1 for 4) <> '\x53464501'::bytea then raise exception 'savefile: not an envelope'; end if;
  return encode(substring(head from 6 for get_byte(head, 4)), 'escape');
end $$;

-- As in 000008.sql, and: an event's key is the one that its payload is sealed with, which is the session's. In clear stands only what the
-- database itself writes, or has to read: who may do what, and the end of the log and of its key.
create or replace function savefile.add_event(
  p_space text, p_session text, p_seq bigint, p_prev bytea, p_at bigint, p_type text, p_v integer, p_actor text, p_key text, p_payload bytea
) returns bytea language plpgsql as $$
declare
  h bytea;
  sealed text;
  own text;
begin
  if substring(p_payload from 1 for 7) = 'sealed:'::bytea then sealed := savefile.sealed_kid(p_payload); end if;
  if p_type not in ('session_created', 'forked') then
    select x.kid into own from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
    if sealed is distinct from own and (sealed is not null or p_type not in ('granted', 'revoked', 'custody_taken', 'session_closed', 'key_destroyed')) then
      perform savefile.refuse_clear(p_session);
    end if;
  elsif sealed is not null then
    perform from savefile.session_keys x where x.space_id = p_space and x.kid = sealed and x.session_id = p_session and x.wrapped is not null;
    if not found then perform savefile.refuse_clear(p_session); end if;
  end if;
  insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
  values (p_space, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, sealed, p_payload, p_prev,
    savefile.event_hash(p_prev, p_session, p_seq, p_type, p_v, p_at, p_actor, p_key, sealed, p_payload))
  returning hash into h;
  if sealed is not null and p_type in ('session_created', 'forked') then
    -- The row was made with the hash of an event in clear.
    update savefile.sessions x set kid = sealed, head_hash = h where x.space_id = p_space and x.session_id = p_session;
  end if;
  return h;
end $$;

-- As in 000008.sql, and: many events too have the key that they are sealed with, which is the session's.
create or replace function savefile.append(
  p_space text, p_session text, p_epoch bigint, p_head bigint,
  p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[],
  p_state text, p_due bigint,
  out status text, out head bigint, out seqs bigint[]
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s savefile.sessions;
  d savefile.drafts;
  k text; h bytea; stored bigint; body bytea; version integer; actor text; answer_of text;
  now_at bigint; event_at bigint; finished bigint; answered bigint; due bigint := p_due; n integer := coalesce(array_length(p_types, 1), 0);
  many boolean := n > 8;
  -- Of many: the keys of all and the seqs of those that the log has; then the columns of those that it has not.
  ks text[]; known bigint[];
  types text[] := '{}'; versions integer[] := '{}'; actors text[] := '{}'; keys text[] := '{}'; bodies bytea[] := '{}'; prevs bytea[] := '{}'; hashes bytea[] := '{}';
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  if s.closed then status := 'closed'; return; end if;
  if s.epoch <> p_epoch then status := 'stale_epoch'; return; end if;
  if s.head <> p_head then status := 'head_moved'; return; end if;

  now_at := savefile.now_us();
  event_at := greatest(now_at, s.head_at);
  h := s.head_hash;
  finished := s.finished_seq;
  answered := s.answer_seq;
  seqs := '{}';
  if many then
    select array_agg(w.key order by w.i), array_agg(w.seq order by w.i) into ks, known from (
      select u.i, u.key, case
        when u.type in ('approval_requested', 'tool_started', 'tool_finished') then (
          select e.seq
          from savefile.lineage l
          join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = u.key and e.seq + 0 between l.lo and l.hi
          where l.space_id = p_space and l.session_id = p_session
          limit 1)
        else (select e.seq from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = u.key) end as seq
      from (
        select v.i, v.type, savefile.structural_key(v.type, case when v.type = 'result_arrived_late' then v.subject || ':' || v.draft else v.subject end) as key
        from unnest(p_types, p_subjects, p_drafts) with ordinality v (type, subject, draft, i) offset 0) u) w;
  end if;
  for i in 1 .. n loop
    if many then
      k := ks[i];
      stored := coalesce(known[i], s.head + array_position(keys, k));
    else
      k := savefile.structural_key(p_types[i], case when p_types[i] = 'result_arrived_late' then p_subjects[i] || ':' || p_drafts[i] else p_subjects[i] end);
      if p_types[i] in ('approval_requested', 'tool_started', 'tool_finished') then
        stored := savefile.lineage_seq(p_space, p_session, k);
      else
        stored := savefile.own_seq(p_space, p_session, k);
      end if;
    end if;
    if k is null or p_types[i] in ('session_created', 'forked') then
      raise exception 'savefile: an executor does not append %', p_types[i];
    end if;
    if stored is null then
      body := convert_to(p_payloads[i], 'UTF8');
      version := p_vs[i];
      if body is null then
        select * into d from savefile.drafts x where x.space_id = p_space and x.session_id = p_session and x.step = p_drafts[i];
        if d.state is distinct from 'finished' or d.type <> p_types[i] then
          raise exception 'savefile: no finished draft % of type %', p_drafts[i], p_types[i];
        end if;
        body := d.payload;
        version := d.v;
      end if;
      head := head + 1;
      stored := head;
      actor := case when p_types[i] in ('model_answered', 'model_failed') then 'agent'
        when p_types[i] in ('tool_finished', 'result_arrived_late') then 'tool:' || p_tools[i] else 'system' end;
      if many then
        if s.kid is distinct from savefile.sealed_kid(body) then perform savefile.refuse_clear(p_session); end if;
        prevs := prevs || h;
        h := savefile.event_hash(h, p_session, head, p_types[i], version, event_at, actor, k, s.kid, body);
        hashes := hashes || h;
        types := types || p_types[i];
        versions := versions || version;
        actors := actors || actor;
        keys := keys || k;
        bodies := bodies || body;
      else
        h := savefile.add_event(p_space, p_session, head, h, event_at, p_types[i], version, actor, k, body);
      end if;
      if p_types[i] = 'turn_finished' then finished := head; end if;
      if p_types[i] in ('model_answered', 'model_failed') then
        answered := head;
        answer_of := p_subjects[i];
      end if;
    end if;
    if p_types[i] = 'result_arrived_late' then
      delete from savefile.evidence x where x.space_id = p_space and x.session_id = p_session and x.call = p_subjects[i] and x.token = p_drafts[i];
    end if;
    seqs := seqs || stored;
  end loop;

  if many and head > s.head then
    insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
    select p_space, p_session, s.head + u.i, u.type, u.v, event_at, u.actor, u.key, s.kid, u.payload, u.prev_hash, u.hash
    from unnest(types, versions, actors, keys, bodies, prevs, hashes) with ordinality u (type, v, actor, key, payload, prev_hash, hash, i);
  end if;
  -- Live text stays until the next answer of its session, so that who reads it sees its end.
  if answer_of is not null then
    delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> answer_of;
  end if;

  -- While a run goes on, due_at is its alarm: it is moved only once it rang, since every move costs the row's place in two indexes.
  if p_state = 'running' and s.state = 'running' and s.due_at between now_at and p_due then due := s.due_at; end if;
  -- Evidence that came after the executor's look is work that it does not know of.
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := now_at; end if;
  update savefile.sessions x set
    state = p_state, due_at = due, owner_seen_at = now_at, head = append.head, head_hash = h,
    head_at = case when append.head > s.head then event_at else s.head_at end,
    updated_at = case when due is distinct from s.due_at then event_at else s.updated_at end,
    stalls = case when append.head > s.head then 0 else s.stalls end,
    finished_seq = finished, answer_seq = answered
  where x.space_id = p_space and x.session_id = p_session;
  status := 'appended';
end $$;

-- An imported session has the key that its first event names.
create function savefile.own_key() returns trigger language plpgsql as $$
begin
  update savefile.sessions x set kid = new.kid where x.space_id = new.space_id and x.session_id = new.session_id and x.kid is null;
  return null;
end $$;
create trigger own_key after insert on savefile.events for each row
  when (new.kid is not null and new.type in ('session_created', 'forked')) execute function savefile.own_key();

-- What stands beside the log of an encrypted session is encrypted too, whichever function writes it.
create function savefile.refuse_clear_payload() returns trigger language plpgsql as $$
declare
  session_kid text;
begin
  select x.kid into session_kid from savefile.sessions x where x.space_id = new.space_id and x.session_id = new.session_id;
  if session_kid is distinct from savefile.sealed_kid(new.payload) then perform savefile.refuse_clear(new.session_id); end if;
  return null;
end $$;
create trigger sealed_insert after insert on savefile.drafts for each row when (new.payload is not null) execute function savefile.refuse_clear_payload();
create trigger sealed_update after update of payload on savefile.drafts for each row when (new.payload is not null) execute function savefile.refuse_clear_payload();
create trigger sealed after insert or update on savefile.evidence for each row execute function savefile.refuse_clear_payload();

create function savefile.refuse_clear_rows() returns trigger language plpgsql as $$
declare
  clear text;
begin
  if tg_table_name = 'snapshots' then
    select x.session_id into clear from added n join savefile.sessions x on x.space_id = n.space_id and x.session_id = n.session_id
    where x.kid is not null and x.kid is distinct from savefile.sealed_kid(convert_to(n.state, 'UTF8')) limit 1;
  elsif tg_table_name = 'draft_deltas' then
    select x.session_id into clear from added n join savefile.sessions x on x.space_id = n.space_id and x.session_id = n.session_id
    where x.kid is not null and x.kid is distinct from savefile.sealed_kid(convert_to(n.body, 'UTF8')) limit 1;
  else
    select x.session_id into clear from added n join savefile.sessions x on x.space_id = n.space_id and x.session_id = n.session_id
    join savefile.blobs b on b.space_id = n.space_id and b.hash = n.hash
    where x.kid is not null and (b.media_type <> 'application/vnd.savefile.sealed' or substring(b.content from 1 for 4) <> '\x53464501'::bytea)
      -- What it inherits from a parent in clear is what it is.
      and not exists (
        select from savefile.lineage l join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = n.hash
        where l.space_id = n.space_id and l.session_id = n.session_id and l.src <> n.session_id) limit 1;
  end if;
  if clear is not null then perform savefile.refuse_clear(clear); end if;
  return null;
end $$;
create trigger sealed after insert on savefile.snapshots referencing new table as added for each statement execute function savefile.refuse_clear_rows();
create trigger sealed after insert on savefile.draft_deltas referencing new table as added for each statement execute function savefile.refuse_clear_rows();
create trigger sealed after insert on savefile.blob_refs referencing new table as added for each statement execute function savefile.refuse_clear_rows();

-- Before the session that it is for, in the same statement. A key whose session was never made is collected.
create function savefile.put_session_key(p_space text, p_session text, p_kid text, p_owner text, p_wrapped bytea)
returns void language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if p_kid !~ '^[a-z0-9]{16,64}$' or octet_length(p_wrapped) not between 1 and 8192 then raise exception 'savefile: no key'; end if;
  insert into savefile.session_keys (space_id, kid, session_id, owner, wrapped, created_at)
  values (p_space, p_kid, p_session, p_owner, p_wrapped, savefile.now_us());
end $$;

-- The same data key under another of the owner's keys; the log is not touched. False where it was rewrapped or destroyed meanwhile.
create function savefile.rewrap_key(p_space text, p_kid text, p_was text, p_owner text, p_wrapped bytea)
returns boolean language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if octet_length(p_wrapped) not between 1 and 8192 then raise exception 'savefile: no key'; end if;
  update savefile.session_keys x set owner = p_owner, wrapped = p_wrapped
  where x.space_id = p_space and x.kid = p_kid and x.owner = p_was and x.destroyed_at is null;
  return found;
end $$;

-- Destroys a session's key, and with it all content that was ever stored under it; the chain stays. Everything in one transaction; again is
-- the same. What is in clear (types, times, actors, keys, labels, who called what when) stays: the log of the session is not gone.
create function savefile.erase_session(p_space text, p_session text, p_actor text, p_v integer, p_closed_v integer, p_why text,
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
  -- A fork's snapshots are under its own key, and hold what it inherited.
  delete from savefile.snapshots x where x.space_id = p_space and x.session_id in (
    select p_session union all select l.session_id from savefile.lineage l where l.space_id = p_space and l.src = p_session and l.src <> l.session_id);
end $$;

create function savefile.member_erase_session(p_space text, p_session text, p_actor text, p_v integer, p_closed_v integer, p_why text,
  out status text, out seq bigint, out head bigint
) language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  m record;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  select e.status, e.seq, e.head into status, seq, head from savefile.erase_session(p_space, p_session, m.actor, p_v, p_closed_v, p_why) e;
end $$;

revoke all on function
  savefile.refuse_clear(text), savefile.own_key(), savefile.sealed_kid(bytea), savefile.refuse_clear_payload(), savefile.refuse_clear_rows(),
  savefile.put_session_key(text, text, text, text, bytea), savefile.rewrap_key(text, text, text, text, bytea),
  savefile.erase_session(text, text, text, integer, integer, text), savefile.member_erase_session(text, text, text, integer, integer, text)
from public;
grant execute on function
  savefile.put_session_key(text, text, text, text, bytea), savefile.rewrap_key(text, text, text, text, bytea),
  savefile.erase_session(text, text, text, integer, integer, text)
to savefile_writer;
grant execute on function savefile.member_erase_session(text, text, text, integer, integer, text) to savefile_member;
-- A wrapped key opens nothing without its owner's; who may read a session may have it.
grant select on savefile.session_keys to savefile_writer, savefile_reader, savefile_member;
alter table savefile.session_keys enable row level security;
create policy trusted on savefile.session_keys for select to savefile_writer, savefile_backup using (true);
create policy by_token on savefile.session_keys for select to savefile_reader, savefile_member
  using (space_id = (select savefile.token_space()) and ((select savefile.token_owns()) or (select savefile.token_reach()) ? session_id));

-- A session that nobody here can read: its key is missing, or destroyed with the stretch that it inherits.
alter table savefile.sessions drop constraint sessions_state;
alter table savefile.sessions add constraint sessions_state
  check (state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked'));

-- Retention (log/retention.ts). A reference is needed for ever once an event was found that needs it (`known`); until then it is protected for
-- the grace period from when it was last written or asked for (`touched_at`).
alter table savefile.blob_refs add column touched_at bigint not null default 0, add column known boolean not null default false;
alter table savefile.blob_refs alter column touched_at set default savefile.now_us();
create index blob_refs_doubtful on savefile.blob_refs (space_id, session_id) where not known;
-- Whoever makes a reference holds the blob, and no blob goes that has one.
alter table savefile.blob_refs add constraint blob_refs_blob foreign key (space_id, hash) references savefile.blobs (space_id, hash);

-- As in 000011.sql, and: it holds the blob, so that a collection that runs just now either sees the reference or is over.
create or replace function savefile.put_blob(p_space text, p_session text, p_media_type text, p_content bytea) returns text
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  name text := 'sha256:' || encode(sha256(p_content), 'hex');
  next bigint;
begin
  select x.head + 1 into next from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for key share;
  if not found then return null; end if;
  loop
    insert into savefile.blobs (space_id, hash, media_type, created_at, content)
    values (p_space, name, p_media_type, savefile.now_us(), p_content) on conflict do nothing;
    perform from savefile.blobs x where x.space_id = p_space and x.hash = name for key share;
    exit when found;
  end loop;
  -- The event that needs it comes after the reference: never below the next seq.
  insert into savefile.blob_refs (space_id, session_id, hash, seq, touched_at) values (p_space, p_session, name, next, savefile.now_us())
  on conflict (space_id, session_id, hash) do update set touched_at = excluded.touched_at;
  return name;
end $$;

-- Before an event that refers to blobs which somebody else stored, perhaps long ago: protects them, and gives back those that this session
-- may not refer to. What it reads through its lineage becomes its own reference.
create function savefile.touch_blobs(p_space text, p_session text, p_hashes text[]) returns text[]
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  held text[];
  next bigint;
begin
  select x.head + 1 into next from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for key share;
  with readable as materialized (
    select distinct r.hash from savefile.lineage l
    join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = any (p_hashes) and r.seq <= l.hi
    where l.space_id = p_space and l.session_id = p_session)
  select array_agg(b.hash) into held from (
    select x.hash from savefile.blobs x join readable using (hash) where x.space_id = p_space order by x.hash for key share of x) b;
  insert into savefile.blob_refs (space_id, session_id, hash, seq, touched_at)
  select p_space, p_session, h, next, savefile.now_us() from unnest(held) h order by h
  on conflict (space_id, session_id, hash) do update set touched_at = excluded.touched_at;
  return array(select h from unnest(p_hashes) h where h <> all (coalesce(held, '{}')));
end $$;

create function savefile.member_touch_blobs(p_space text, p_session text, p_hashes text[]) returns text[]
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
begin
  if not (savefile.may(p_space, p_session, array['extend', 'approve'])).there then return '{}'; end if;
  return savefile.touch_blobs(p_space, p_session, p_hashes);
end $$;

-- What a look at the session's events up to p_head found, and what it did not. Nothing is dropped where the session moved on meanwhile, where a
-- step runs, or where the reference was touched since: whoever writes wins.
create function savefile.retain_references(p_space text, p_session text, p_head bigint, p_grace bigint, p_found text[], p_lost text[])
returns integer language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  s_head bigint; n integer;
begin
  select x.head into s_head from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for update;
  update savefile.blob_refs x set known = true where x.space_id = p_space and x.session_id = p_session and x.hash = any (p_found);
  if s_head is distinct from p_head then return 0; end if;
  perform from savefile.drafts x where x.space_id = p_space and x.session_id = p_session and x.state = 'running';
  if found then return 0; end if;
  delete from savefile.blob_refs x
  where x.space_id = p_space and x.session_id = p_session and x.hash = any (p_lost) and not x.known and x.touched_at < savefile.now_us() - p_grace;
  get diagnostics n = row_count;
  return n;
end $$;

-- Blobs without a reference: locked first, then, by a look that is newer than the locks, dropped. A count of 0 where others hold them all.
create function savefile.retain_blobs(p_space text, p_grace bigint, p_limit integer, p_dry boolean, out blobs integer, out bytes bigint)
language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  candidates text[];
begin
  if p_dry then
    select count(*), coalesce(sum(octet_length(x.content)), 0) into blobs, bytes from savefile.blobs x
    where x.space_id = p_space and x.created_at < savefile.now_us() - p_grace
      and not exists (select from savefile.blob_refs r where r.space_id = x.space_id and r.hash = x.hash);
    return;
  end if;
  select array_agg(c.hash) into candidates from (
    select x.hash from savefile.blobs x
    where x.space_id = p_space and x.created_at < savefile.now_us() - p_grace
      and not exists (select from savefile.blob_refs r where r.space_id = x.space_id and r.hash = x.hash)
    order by x.hash limit p_limit for update skip locked) c;
  with gone as (
    delete from savefile.blobs x
    where x.space_id = p_space and x.hash = any (candidates)
      and not exists (select from savefile.blob_refs r where r.space_id = x.space_id and r.hash = x.hash)
    returning octet_length(x.content) as size)
  select count(*), coalesce(sum(size), 0) into blobs, bytes from gone;
end $$;

-- Rows beside the log that nothing needs, at most p_limit at a time; p_dry counts all.
--   drafts     of sessions that were closed or idle for the grace period: rule 15, for which an idle session is given a new epoch
--   deltas     live text of steps that do not run, of sessions that stood still for the grace period
--   snapshots  of reducers older than this one, and of sessions whose content was erased
--   keys       whose session was never made
create function savefile.retain_rows(p_space text, p_what text, p_grace bigint, p_reducer integer, p_limit integer, p_dry boolean)
returns integer language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
declare
  before bigint := savefile.now_us() - p_grace;
  n integer := 0; m integer;
  c record;
begin
  if p_what = 'drafts' then
    if p_dry then
      select count(*) into n from savefile.drafts d join savefile.sessions s using (space_id, session_id)
      where s.space_id = p_space and s.updated_at < before and (s.closed or (s.state = 'idle' and s.due_at is null and d.born < s.finished_seq));
      return n;
    end if;
    for c in
      select s.session_id, s.closed, s.finished_seq from savefile.sessions s
      where s.space_id = p_space and s.updated_at < before and (s.closed or (s.state = 'idle' and s.due_at is null))
        and exists (select from savefile.drafts d where d.space_id = s.space_id and d.session_id = s.session_id and (s.closed or d.born < s.finished_seq))
      order by s.session_id limit 100 for no key update of s skip locked
    loop
      if not c.closed then
        update savefile.sessions x set epoch = x.epoch + 1, owner_cluster = null, owner_run = null
        where x.space_id = p_space and x.session_id = c.session_id;
      end if;
      delete from savefile.drafts d where d.ctid = any (array(
        select y.ctid from savefile.drafts y
        where y.space_id = p_space and y.session_id = c.session_id and (c.closed or y.born < c.finished_seq) limit p_limit - n));
      get diagnostics m = row_count;
      n := n + m;
      exit when n >= p_limit;
    end loop;
    return n;
  elsif p_what = 'deltas' then
    if p_dry then
      select count(*) into n from savefile.draft_deltas x join savefile.sessions s using (space_id, session_id)
      where s.space_id = p_space and s.updated_at < before and not exists (
        select from savefile.drafts d where d.space_id = x.space_id and d.session_id = x.session_id and d.step = x.step and d.state = 'running');
      return n;
    end if;
    delete from savefile.draft_deltas x where x.ctid = any (array(
      select y.ctid from savefile.draft_deltas y join savefile.sessions s using (space_id, session_id)
      where s.space_id = p_space and s.updated_at < before and not exists (
        select from savefile.drafts d where d.space_id = y.space_id and d.session_id = y.session_id and d.step = y.step and d.state = 'running')
      limit p_limit));
  elsif p_what = 'snapshots' then
    if p_dry then
      select count(*) into n from savefile.snapshots x where x.space_id = p_space and x.reducer_version < p_reducer;
      return n;
    end if;
    delete from savefile.snapshots x where x.ctid = any (array(
      select y.ctid from savefile.snapshots y where y.space_id = p_space and y.reducer_version < p_reducer limit p_limit));
  elsif p_what = 'keys' then
    if p_dry then
      select count(*) into n from savefile.session_keys x
      where x.space_id = p_space and x.created_at < before
        and not exists (select from savefile.sessions s where s.space_id = x.space_id and s.session_id = x.session_id and s.kid = x.kid);
      return n;
    end if;
    delete from savefile.session_keys x where x.ctid = any (array(
      select y.ctid from savefile.session_keys y
      where y.space_id = p_space and y.created_at < before
        and not exists (select from savefile.sessions s where s.space_id = y.space_id and s.session_id = y.session_id and s.kid = y.kid)
      limit p_limit));
  else
    raise exception 'savefile: nothing of that name is dropped';
  end if;
  get diagnostics n = row_count;
  return n;
end $$;

revoke all on function
  savefile.touch_blobs(text, text, text[]), savefile.member_touch_blobs(text, text, text[]),
  savefile.retain_references(text, text, bigint, bigint, text[], text[]),
  savefile.retain_blobs(text, bigint, integer, boolean), savefile.retain_rows(text, text, bigint, integer, integer, boolean)
from public;
grant execute on function savefile.member_touch_blobs(text, text, text[]) to savefile_member;
grant execute on function
  savefile.touch_blobs(text, text, text[]), savefile.retain_references(text, text, bigint, bigint, text[], text[]),
  savefile.retain_blobs(text, bigint, integer, boolean), savefile.retain_rows(text, text, bigint, integer, integer, boolean),
  savefile.now_us()
to savefile_writer;
