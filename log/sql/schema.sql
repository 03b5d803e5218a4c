-- Made by log/dump-schema.ts from a migrated database: changed by migrations only, and compared in CI.

schema savefile, owner savefile_owner: savefile_backup=U savefile_executor=U savefile_member=U savefile_reader=U savefile_writer=U

table savefile.blob_refs, owner savefile_owner
  space_id text not null
  session_id text not null
  hash text not null
  seq bigint not null default 0
  touched_at bigint not null default savefile.now_us()
  known boolean not null default false
  constraint blob_refs_blob FOREIGN KEY (space_id, hash) REFERENCES savefile.blobs(space_id, hash)
  constraint blob_refs_pkey PRIMARY KEY (space_id, session_id, hash)
  CREATE INDEX blob_refs_doubtful ON savefile.blob_refs USING btree (space_id, session_id) WHERE (NOT known)
  CREATE INDEX blob_refs_of_blob ON savefile.blob_refs USING btree (space_id, hash)
  CREATE TRIGGER sealed AFTER INSERT ON savefile.blob_refs REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_clear_rows() -- enabled: O
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (seq <= ((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.blobs, owner savefile_owner
  space_id text not null
  hash text not null
  media_type text not null
  created_at bigint not null
  content bytea not null
  constraint blobs_pkey PRIMARY KEY (space_id, hash)
  CREATE TRIGGER immutable BEFORE UPDATE OR TRUNCATE ON savefile.blobs FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_change() -- enabled: A
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (EXISTS ( SELECT
   FROM savefile.blob_refs r
  WHERE ((r.space_id = blobs.space_id) AND (r.hash = blobs.hash)))))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.definition_offers, owner savefile_owner
  space_id text not null
  hash text not null
  principal text not null
  constraint definition_offers_pkey PRIMARY KEY (space_id, hash, principal)
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (principal = ( SELECT savefile.token_principal() AS token_principal)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.definitions, owner savefile_owner
  space_id text not null
  hash text not null
  body bytea not null
  constraint definitions_pkey PRIMARY KEY (space_id, hash)
  CREATE TRIGGER immutable BEFORE UPDATE OR TRUNCATE ON savefile.definitions FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_change() -- enabled: A
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (EXISTS ( SELECT
   FROM savefile.session_definitions d
  WHERE ((d.space_id = definitions.space_id) AND (d.definition = definitions.hash)))))
  policy offered permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (EXISTS ( SELECT
   FROM savefile.definition_offers o
  WHERE ((o.space_id = definitions.space_id) AND (o.hash = definitions.hash)))))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

unlogged table savefile.draft_deltas, owner savefile_owner
  space_id text not null
  session_id text not null
  step text not null
  token text not null
  n bigint not null
  kind text not null
  body text not null
  constraint draft_deltas_pkey PRIMARY KEY (space_id, session_id, step, token, n)
  CREATE TRIGGER sealed AFTER INSERT ON savefile.draft_deltas REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_clear_rows() -- enabled: O
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint = '9223372036854775807'::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.drafts, owner savefile_owner (fillfactor=50)
  space_id text not null
  session_id text not null
  step text not null
  born bigint not null
  epoch bigint not null
  attempt integer not null
  token text not null
  claimed_at bigint not null
  attempts text not null default '[]'::text
  state text not null
  beat_at bigint
  released text
  outcome text
  type text
  v integer
  payload bytea
  constraint drafts_pkey PRIMARY KEY (space_id, session_id, step)
  constraint drafts_size CHECK ((octet_length(payload) <= 4194304))
  constraint drafts_state CHECK ((state = ANY (ARRAY['running'::text, 'finished'::text, 'closed'::text])))
  CREATE INDEX drafts_born ON savefile.drafts USING btree (space_id, session_id, born)
  CREATE TRIGGER queue_calls AFTER DELETE ON savefile.drafts REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION savefile.drop_queue_calls() -- enabled: O
  CREATE TRIGGER sealed_insert AFTER INSERT ON savefile.drafts FOR EACH ROW WHEN ((new.payload IS NOT NULL)) EXECUTE FUNCTION savefile.refuse_clear_payload() -- enabled: O
  CREATE TRIGGER sealed_update AFTER UPDATE OF payload ON savefile.drafts FOR EACH ROW WHEN ((new.payload IS NOT NULL)) EXECUTE FUNCTION savefile.refuse_clear_payload() -- enabled: O
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint = '9223372036854775807'::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_writer=r
  grants on space_id savefile_member=r savefile_reader=r
  grants on session_id savefile_member=r savefile_reader=r
  grants on step savefile_member=r savefile_reader=r
  grants on born savefile_member=r savefile_reader=r
  grants on attempt savefile_member=r savefile_reader=r
  grants on token savefile_member=r savefile_reader=r
  grants on claimed_at savefile_member=r savefile_reader=r
  grants on state savefile_member=r savefile_reader=r
  grants on beat_at savefile_member=r savefile_reader=r
  grants on released savefile_member=r savefile_reader=r

table savefile.events, owner savefile_owner
  space_id text not null
  session_id text not null
  seq bigint not null
  type text not null
  v integer not null
  at bigint not null
  actor text not null
  key text not null
  kid text
  payload bytea not null
  prev_hash bytea not null
  hash bytea not null
  constraint events_key UNIQUE (space_id, session_id, key)
  constraint events_pkey PRIMARY KEY (space_id, session_id, seq)
  constraint events_size CHECK ((octet_length(payload) <= 4194304))
  CREATE INDEX events_children ON savefile.events USING btree (space_id, session_id, seq) WHERE (type = 'child_started'::text)
  CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON savefile.events FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_change() -- enabled: A
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (seq <= ((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.evidence, owner savefile_owner
  space_id text not null
  session_id text not null
  call text not null
  token text not null
  payload bytea not null
  constraint evidence_pkey PRIMARY KEY (space_id, session_id, call, token)
  CREATE TRIGGER sealed AFTER INSERT OR UPDATE ON savefile.evidence FOR EACH ROW EXECUTE FUNCTION savefile.refuse_clear_payload() -- enabled: O
  grants savefile_backup=r savefile_writer=r

table savefile.grants, owner savefile_owner
  space_id text not null
  grant_id text not null
  session_id text not null
  seq bigint not null
  principal text
  rights text[] not null
  forks boolean not null
  label text
  granted_at bigint not null
  granted_by text not null
  expires_at bigint
  revoked_at bigint
  constraint grants_pkey PRIMARY KEY (space_id, grant_id)
  constraint grants_rights CHECK (((rights <@ ARRAY['read'::text, 'extend'::text, 'approve'::text, 'fork'::text, 'own'::text]) AND (rights <> '{}'::text[])))
  CREATE INDEX grants_of_principal ON savefile.grants USING btree (space_id, principal)
  grants savefile_backup=r savefile_writer=r

table savefile.lineage, owner savefile_owner
  space_id text not null
  session_id text not null
  src text not null
  lo bigint not null
  hi bigint not null
  constraint lineage_pkey PRIMARY KEY (space_id, session_id, lo)
  CREATE INDEX lineage_shared ON savefile.lineage USING btree (space_id, src) WHERE (src <> session_id)
  CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON savefile.lineage FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_change() -- enabled: A
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint = '9223372036854775807'::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.migrations, owner savefile_owner
  n integer not null
  name text not null
  applied_at timestamp with time zone not null default now()
  constraint migrations_pkey PRIMARY KEY (n)
  grants savefile_backup=r savefile_executor=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.principals, owner savefile_owner
  space_id text not null
  principal text not null
  rights text[] not null default '{}'::text[]
  created_at bigint not null
  created_by text not null
  constraint principals_pkey PRIMARY KEY (space_id, principal)
  constraint principals_rights CHECK ((rights <@ ARRAY['create'::text, 'own'::text]))
  grants savefile_backup=r savefile_writer=r

table savefile.queue_calls, owner savefile_owner
  space_id text not null
  session_id text not null
  call text not null
  queue text not null
  tool text not null
  safe boolean not null
  sealed_for text not null
  body bytea not null
  constraint queue_calls_pkey PRIMARY KEY (space_id, session_id, call)
  row level security
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_writer=r

table savefile.queue_logins, owner savefile_owner
  login name not null
  space_id text not null
  queue text not null
  constraint queue_logins_pkey PRIMARY KEY (login, space_id)
  grants savefile_backup=r savefile_writer=r

table savefile.reach, owner savefile_owner
  space_id text not null
  session_id text not null
  grant_id text not null
  revoked_at bigint
  constraint reach_pkey PRIMARY KEY (space_id, session_id, grant_id)
  CREATE INDEX reach_of_grant ON savefile.reach USING btree (space_id, grant_id)
  grants savefile_backup=r savefile_writer=r

table savefile.session_definitions, owner savefile_owner
  space_id text not null
  session_id text not null
  seq bigint not null
  definition text not null
  constraint session_definitions_pkey PRIMARY KEY (space_id, session_id, seq)
  CREATE INDEX session_definitions_of_definition ON savefile.session_definitions USING btree (space_id, definition)
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (seq <= ((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.session_keys, owner savefile_owner
  space_id text not null
  kid text not null
  session_id text not null
  owner text not null
  wrapped bytea
  created_at bigint not null
  destroyed_at bigint
  constraint session_keys_destroyed CHECK (((wrapped IS NULL) OR (destroyed_at IS NULL)))
  constraint session_keys_pkey PRIMARY KEY (space_id, kid)
  CREATE INDEX session_keys_of_session ON savefile.session_keys USING btree (space_id, session_id)
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (( SELECT savefile.token_reach() AS token_reach) ? session_id)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.sessions, owner savefile_owner (fillfactor=60)
  space_id text not null
  session_id text not null
  created_at bigint not null
  parent_id text
  fork_seq bigint
  title text
  labels text not null default '{}'::text
  definition text not null
  closed boolean not null default false
  owner_cluster text
  owner_run text
  epoch bigint not null default 0
  sweep_to bigint
  state text not null default 'idle'::text
  due_at bigint
  updated_at bigint not null
  stalls integer not null default 0
  owner_seen_at bigint
  head bigint not null
  head_at bigint not null
  finished_seq bigint not null default 0
  answer_seq bigint not null default 0
  head_hash bytea not null
  custody text not null default 'live'::text
  custody_seq bigint not null default 0
  compacted_from text
  kid text
  erased boolean not null default false
  constraint sessions_pkey PRIMARY KEY (space_id, session_id)
  CREATE INDEX sessions_children ON savefile.sessions USING btree (space_id, parent_id) WHERE (parent_id IS NOT NULL)
  CREATE INDEX sessions_compactions ON savefile.sessions USING btree (space_id, compacted_from) WHERE (compacted_from IS NOT NULL)
  CREATE INDEX sessions_due ON savefile.sessions USING btree (due_at) WHERE (due_at IS NOT NULL)
  CREATE INDEX sessions_listed ON savefile.sessions USING btree (space_id, updated_at DESC, session_id DESC) WHERE (created_at >= 0)
  CREATE INDEX sessions_to_sweep ON savefile.sessions USING btree (space_id, session_id) WHERE (sweep_to IS NOT NULL)
  CREATE TRIGGER reach_fork AFTER INSERT ON savefile.sessions FOR EACH ROW WHEN ((new.parent_id IS NOT NULL)) EXECUTE FUNCTION savefile.reach_fork() -- enabled: O
  row level security
  policy by_token permissive for r to savefile_member, savefile_reader using ((space_id = ( SELECT savefile.token_space() AS token_space)) AND (( SELECT savefile.token_owns() AS token_owns) OR (((( SELECT savefile.token_reach() AS token_reach) ->> session_id))::bigint = '9223372036854775807'::bigint)))
  policy trusted permissive for r to savefile_backup, savefile_writer using true
  grants savefile_backup=r savefile_member=r savefile_reader=r savefile_writer=r

table savefile.snapshots, owner savefile_owner
  space_id text not null
  session_id text not null
  reducer_version integer not null
  seq bigint not null
  state text not null
  constraint snapshots_pkey PRIMARY KEY (space_id, session_id, reducer_version, seq)
  CREATE TRIGGER sealed AFTER INSERT ON savefile.snapshots REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION savefile.refuse_clear_rows() -- enabled: O
  grants savefile_backup=r savefile_writer=r

table savefile.tokens, owner savefile_owner
  hash bytea not null
  space_id text not null
  token_id text not null
  principal text
  grant_id text
  label text
  created_at bigint not null
  created_by text not null
  expires_at bigint
  revoked_at bigint
  constraint tokens_hash CHECK ((octet_length(hash) = 32))
  constraint tokens_of_one CHECK (((principal IS NULL) <> (grant_id IS NULL)))
  constraint tokens_pkey PRIMARY KEY (hash)
  CREATE UNIQUE INDEX tokens_named ON savefile.tokens USING btree (space_id, token_id)
  grants savefile_backup=r

CREATE OR REPLACE FUNCTION savefile.add_beside(p_session savefile.sessions, p_type text, p_actor text, p_key text, p_payload text)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  at bigint := greatest(savefile.now_us(), p_session.head_at);
  h bytea := savefile.add_event(p_session.space_id, p_session.session_id, p_session.head + 1, p_session.head_hash, at, p_type, 1, p_actor, p_key,
    convert_to(p_payload, 'UTF8'));
begin
  update savefile.sessions x set head = p_session.head + 1, head_hash = h, head_at = at, updated_at = at
  where x.space_id = p_session.space_id and x.session_id = p_session.session_id;
  return p_session.head + 1;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.add_event(p_space text, p_session text, p_seq bigint, p_prev bytea, p_at bigint, p_type text, p_v integer, p_actor text, p_key text, p_payload bytea)
 RETURNS bytea
 LANGUAGE plpgsql
AS $function$
declare
  h bytea;
  sealed text; own text; held text;
begin
  if substring(p_payload from 1 for 7) = 'sealed:'::bytea then sealed := savefile.sealed_kid(p_payload); end if;
  if p_type not in ('session_created', 'forked') then
    select x.kid, x.custody into own, held from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
    if held in ('inert', 'stub') and p_type <> 'custody_taken' then perform savefile.refuse_to_extend(p_session, held); end if;
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.adopt(p_space text, p_session text, p_actor text, p_head bigint, p_v integer, p_payload text, OUT status text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
  event_at bigint;
  h bytea;
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  seq := s.custody_seq;
  if s.custody <> 'inert' then status := s.custody; return; end if;
  if s.closed then status := 'closed'; return; end if;
  if s.head <> p_head then status := 'head_moved'; return; end if;
  seq := s.head + 1;
  event_at := greatest(savefile.now_us(), s.head_at);
  h := savefile.add_event(p_space, p_session, seq, s.head_hash, event_at, 'custody_taken', p_v, p_actor, savefile.structural_key('custody_taken', p_head::text), convert_to(p_payload, 'UTF8'));
  update savefile.sessions x set
    custody = 'live', custody_seq = adopt.seq, epoch = x.epoch + 1, head = adopt.seq, head_hash = h, head_at = event_at, updated_at = event_at,
    state = 'running', due_at = event_at
  where x.space_id = p_space and x.session_id = p_session;
  status := 'adopted';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.analyse_grown()
 RETURNS text[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  t name;
  grown text[] := '{}';
begin
  for t in
    select c.relname from pg_class c
    where c.relnamespace = 'savefile'::regnamespace and c.relkind = 'r'
      and pg_relation_size(c.oid) / current_setting('block_size')::bigint > greatest(10, c.relpages * 4)
  loop
    execute format('analyze (skip_locked) savefile.%I', t);
    grown := grown || t::text;
  end loop;
  return grown;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.append(p_space text, p_session text, p_epoch bigint, p_head bigint, p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[], p_state text, p_due bigint, OUT status text, OUT head bigint, OUT seqs bigint[])
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  n integer := coalesce(array_length(p_types, 1), 0);
  -- Of the first event: it is looked up with the row's lock, as of the begin of the statement. Where the head is the expected one, that is right.
  k text := savefile.structural_key(p_types[1], case when p_types[1] = 'result_arrived_late' then p_subjects[1] || ':' || p_drafts[1] else p_subjects[1] end);
  s_epoch bigint; s_closed boolean; s_custody text; s_kid text; s_forked boolean; s_state text; s_due bigint; s_head_at bigint;
  h bytea; prev bytea; stored bigint; body bytea; version integer; who text; sealed text; answer_of text;
  now_at bigint; event_at bigint; finished bigint; answered bigint; due bigint := p_due; moved boolean := false;
begin
  if n > 8 then
    select a.head into head from savefile.append_all(array[p_space], array[p_session], array[p_epoch], array[p_head], array[n], array[p_state], array[p_due],
      p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts) a;
    if found then
      status := 'appended';
      seqs := array(select generate_series(p_head + 1, append.head));
      return;
    end if;
  end if;
  select x.head, x.head_hash, x.head_at, x.epoch, x.closed, x.custody, x.kid, x.fork_seq is not null, x.state, x.due_at, x.finished_seq, x.answer_seq,
      (select e.seq from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = k)
    into head, h, s_head_at, s_epoch, s_closed, s_custody, s_kid, s_forked, s_state, s_due, finished, answered, stored
  from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if head is null then status := 'session_not_found'; return; end if;
  if s_closed then status := 'closed'; return; end if;
  if s_epoch <> p_epoch then status := 'stale_epoch'; return; end if;
  if head <> p_head then status := 'head_moved'; return; end if;
  if s_custody in ('inert', 'stub') and n > 0 then perform savefile.refuse_to_extend(p_session, s_custody); end if;
  if p_state <> 'running' then perform savefile.check_state(p_state); end if;

  now_at := savefile.now_us();
  event_at := greatest(now_at, s_head_at);
  for i in 1 .. n loop
    if i > 1 then
      k := savefile.structural_key(p_types[i], case when p_types[i] = 'result_arrived_late' then p_subjects[i] || ':' || p_drafts[i] else p_subjects[i] end);
      stored := savefile.own_seq(p_space, p_session, k);
    end if;
    if k is null or p_types[i] in ('session_created', 'forked') then
      raise exception 'savefile: an executor does not append %', p_types[i];
    end if;
    if s_forked and stored is null and p_types[i] in ('approval_requested', 'tool_started', 'tool_finished') then
      stored := savefile.lineage_seq(p_space, p_session, k);
    end if;
    if stored is null then
      body := convert_to(p_payloads[i], 'UTF8');
      version := p_vs[i];
      if body is null then
        select x.payload, x.v into body, version from savefile.drafts x
        where x.space_id = p_space and x.session_id = p_session and x.step = p_drafts[i] and x.state = 'finished' and x.type = p_types[i];
        if not found then raise exception 'savefile: no finished draft % of type %', p_drafts[i], p_types[i]; end if;
      end if;
      who := case when p_types[i] in ('model_answered', 'model_failed') then 'agent'
        when p_types[i] in ('tool_finished', 'result_arrived_late') then 'tool:' || p_tools[i] else 'system' end;
      sealed := case when substring(body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(body) end;
      if sealed is distinct from s_kid and (sealed is not null or p_types[i] <> 'session_closed') then perform savefile.refuse_clear(p_session); end if;
      head := head + 1;
      moved := true;
      stored := head;
      prev := h;
      h := savefile.event_hash(prev, p_session, head, p_types[i], version, event_at, who, k, sealed, body);
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      values (p_space, p_session, append.head, p_types[i], version, event_at, who, k, sealed, body, prev, h);
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

  -- Live text stays until the next answer of its session, so that who reads it sees its end.
  if answer_of is not null then
    delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> answer_of;
  end if;

  -- While a run goes on, due_at is its alarm: it is moved only once it rang, since every move costs the row's place in two indexes.
  if p_state = 'running' and s_state = 'running' and s_due between now_at and p_due then due := s_due; end if;
  -- Evidence that came after the executor's look is work that it does not know of.
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := now_at; end if;
  update savefile.sessions x set
    state = p_state, due_at = due, owner_seen_at = now_at, head = append.head, head_hash = h,
    head_at = case when moved then event_at else s_head_at end,
    updated_at = case when due is distinct from s_due then event_at else x.updated_at end,
    stalls = case when moved then 0 else x.stalls end,
    finished_seq = finished, answer_seq = answered
  where x.space_id = p_space and x.session_id = p_session;
  seqs := coalesce(seqs, '{}');
  status := 'appended';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.append_all(p_spaces text[], p_sessions text[], p_epochs bigint[], p_heads bigint[], p_counts integer[], p_states text[], p_dues bigint[], p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[])
 RETURNS TABLE(n integer, head bigint)
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  now_at bigint := savefile.now_us();
begin
  if cardinality(p_types) = cardinality(p_spaces) and p_counts = array_fill(1, array[cardinality(p_spaces)]) then
    return query
      with held as materialized (
        select c.i, c.space, c.session, c.head + 1 as seq, c.type, c.v, c.subject, c.key, c.actor, c.body, c.state, x.kid, x.head_hash as prev, x.at,
          case when c.state = 'running' and x.state = 'running' and x.due_at between now_at and c.due then x.due_at else c.due end as due_at,
          savefile.event_hash(x.head_hash, c.session, c.head + 1, c.type, c.v, x.at, c.actor, c.key, x.kid, c.body) as hash
        from (
          select u.*, convert_to(u.payload, 'UTF8') as body, savefile.structural_key(u.type, u.subject) as key,
            case when u.type in ('model_answered', 'model_failed') then 'agent' when u.type = 'tool_finished' then 'tool:' || u.tool else 'system' end as actor
          from unnest(p_spaces, p_sessions, p_epochs, p_heads, p_states, p_dues, p_types, p_vs, p_subjects, p_tools, p_payloads) with ordinality
            u (space, session, epoch, head, state, due, type, v, subject, tool, payload, i)
          where u.due is not null and u.type not in ('session_created', 'forked', 'result_arrived_late')
            and u.state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked') offset 0) c
        cross join lateral (
          select y.head_hash, greatest(now_at, y.head_at) as at, y.kid, y.state, y.due_at from savefile.sessions y
          where y.space_id = c.space and y.session_id = c.session and y.epoch = c.epoch and y.head = c.head and not y.closed and y.custody = 'live'
            and (y.fork_seq is null or c.type not in ('approval_requested', 'tool_started', 'tool_finished'))
          for no key update skip locked) x
        where c.key is not null and c.body is not null
          and x.kid is not distinct from case when substring(c.body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(c.body) end
          -- Not as "not exists", which a plan made while the table is small answers by reading all of it.
          and (select e.seq from savefile.events e where e.space_id = c.space and e.session_id = c.session and e.key = c.key) is null),
      added as (
        insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
        select h.space, h.session, h.seq, h.type, h.v, h.at, h.actor, h.key, h.kid, h.body, h.prev, h.hash from held h),
      -- Live text stays until the next answer of its session, so that who reads it sees its end.
      gone as (
        delete from savefile.draft_deltas x using held h
        where h.actor = 'agent' and x.space_id = h.space and x.session_id = h.session and x.step <> h.subject)
      update savefile.sessions x set
        state = h.state, due_at = h.due_at, owner_seen_at = now_at, head = h.seq, head_hash = h.hash, head_at = h.at, stalls = 0,
        updated_at = case when h.due_at is distinct from x.due_at then h.at else x.updated_at end,
        finished_seq = case when h.type = 'turn_finished' then h.seq else x.finished_seq end,
        answer_seq = case when h.actor = 'agent' then h.seq else x.answer_seq end
      from held h
      where x.space_id = h.space and x.session_id = h.session and x.head = h.seq - 1
      returning h.i::integer, x.head;
    return;
  end if;
  return query
    with calls as materialized (
      select c.*, sum(c.count) over (order by c.i) - c.count as before, row_number() over (partition by c.space, c.session order by c.i) as turn
      from unnest(p_spaces, p_sessions, p_epochs, p_heads, p_counts, p_states, p_dues) with ordinality c (space, session, epoch, head, count, state, due, i)),
    held as materialized (
      select c.*, x.head_hash, greatest(now_at, x.head_at) as at, x.kid, x.fork_seq is not null as forked,
        case when c.state = 'running' and x.state = 'running' and x.due_at between now_at and c.due then x.due_at else c.due end as due_at,
        case when x.due_at is distinct from case when c.state = 'running' and x.state = 'running' and x.due_at between now_at and c.due then x.due_at else c.due end
          then greatest(now_at, x.head_at) else x.updated_at end as updated_at,
        x.finished_seq, x.answer_seq
      from calls c cross join lateral (
        select * from savefile.sessions y
        where y.space_id = c.space and y.session_id = c.session and y.epoch = c.epoch and y.head = c.head and not y.closed and y.custody = 'live'
        for no key update skip locked) x
      where c.turn = 1 and c.due is not null
        and c.state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked')),
    given as materialized (
      select h.i, a.j - h.before as j, h.head + a.j - h.before as seq, a.type, a.v, a.subject, convert_to(a.payload, 'UTF8') as body,
        case when a.type in ('model_answered', 'model_failed') then 'agent' when a.type = 'tool_finished' then 'tool:' || a.tool else 'system' end as actor,
        savefile.structural_key(a.type, a.subject) as key
      from held h
      join unnest(p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts) with ordinality a (type, v, subject, tool, payload, draft, j)
        on a.j between h.before + 1 and h.before + h.count),
    chained as materialized (
      select h.*, g.finished, g.answered, g.answer_of, savefile.chain(h.head_hash, g.rests) as hashes
      from held h join (
        select g.i, max(g.seq) filter (where g.type = 'turn_finished') as finished,
          max(g.seq) filter (where g.type in ('model_answered', 'model_failed')) as answered,
          (array_agg(g.subject order by g.j desc) filter (where g.type in ('model_answered', 'model_failed')))[1] as answer_of,
          array_agg(savefile.event_rest(h.session, g.seq, g.type, g.v, h.at, g.actor, g.key, h.kid, g.body) order by g.j) as rests
        from given g join held h on h.i = g.i
        group by g.i
        having count(g.key) = count(distinct g.key) and bool_and(
          g.key is not null and g.body is not null and g.type not in ('session_created', 'forked', 'result_arrived_late')
          and h.kid is not distinct from case when substring(g.body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(g.body) end
          and case when h.forked and g.type in ('approval_requested', 'tool_started', 'tool_finished') then (
              select e.seq from savefile.lineage l
              cross join lateral (select y.seq from savefile.events y where y.space_id = l.space_id and y.session_id = l.src and y.key = g.key offset 0) e
              where l.space_id = h.space and l.session_id = h.session and e.seq between l.lo and l.hi limit 1)
            else (select e.seq from savefile.events e where e.space_id = h.space and e.session_id = h.session and e.key = g.key) end is null)) g on g.i = h.i),
    added as (
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      select c.space, c.session, g.seq, g.type, g.v, c.at, g.actor, g.key, c.kid, g.body,
        case g.j when 1 then c.head_hash else c.hashes[g.j - 1] end, c.hashes[g.j]
      from chained c join given g on g.i = c.i),
    -- Live text stays until the next answer of its session, so that who reads it sees its end.
    gone as (
      delete from savefile.draft_deltas x using chained c
      where c.answer_of is not null and x.space_id = c.space and x.session_id = c.session and x.step <> c.answer_of)
    update savefile.sessions x set
      state = c.state, due_at = c.due_at, owner_seen_at = now_at, head = c.head + c.count, head_hash = c.hashes[c.count], head_at = c.at,
      updated_at = c.updated_at, stalls = 0, finished_seq = coalesce(c.finished, c.finished_seq), answer_seq = coalesce(c.answered, c.answer_seq)
    from chained c
    where x.space_id = c.space and x.session_id = c.session and x.head = c.head
    returning c.i::integer, x.head;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.append_many(p_spaces text[], p_sessions text[], p_epochs bigint[], p_heads bigint[], p_counts integer[], p_states text[], p_dues bigint[], p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[])
 RETURNS TABLE(n integer, status text, head bigint, seqs bigint[])
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  a integer := 1; z integer;
  heads bigint[] := '{}';
begin
  for n, head in select * from savefile.append_all(p_spaces, p_sessions, p_epochs, p_heads, p_counts, p_states, p_dues, p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts) loop
    heads[n] := head;
  end loop;
  for i in 1 .. cardinality(p_spaces) loop
    n := i; head := heads[i]; seqs := null; z := a + p_counts[i] - 1;
    if head is not null then
      status := 'appended';
      seqs := array(select generate_series(p_heads[i] + 1, append_many.head));
    elsif savefile.is_busy(p_spaces[i], p_sessions[i]) then status := 'busy';
    else
      select r.status, r.head, r.seqs into status, head, seqs
      from savefile.append(p_spaces[i], p_sessions[i], p_epochs[i], p_heads[i],
        p_types[a:z], p_vs[a:z], p_subjects[a:z], p_tools[a:z], p_payloads[a:z], p_drafts[a:z], p_states[i], p_dues[i]) r;
    end if;
    a := z + 1;
    return next;
  end loop;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.append_one(p_space text, p_session text, p_epoch bigint, p_head bigint, p_type text, p_v integer, p_subject text, p_tool text, p_payload text, p_state text, p_due bigint, OUT status text, OUT head bigint, OUT seqs bigint[])
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  body bytea := convert_to(p_payload, 'UTF8');
  k text := savefile.structural_key(p_type, p_subject);
  who text := case when p_type in ('model_answered', 'model_failed') then 'agent' when p_type = 'tool_finished' then 'tool:' || p_tool else 'system' end;
  now_at bigint := savefile.now_us();
  version xid; h bytea; prev bytea; kid text; event_at bigint; due bigint; next bigint := p_head + 1;
begin
  select x.xmin, x.head_hash, x.kid, greatest(x.head_at, now_at),
      case when p_state = 'running' and x.state = 'running' and x.due_at between now_at and p_due then x.due_at else p_due end,
      savefile.event_hash(x.head_hash, p_session, next, p_type, p_v, greatest(x.head_at, now_at), who, k, x.kid, body)
    into version, prev, kid, event_at, due, h
  from savefile.sessions x
  where x.space_id = p_space and x.session_id = p_session and x.epoch = p_epoch and x.head = p_head and not x.closed and x.custody = 'live'
    and p_due is not null and p_state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked')
    and p_type not in ('session_created', 'forked', 'result_arrived_late')
    and (x.fork_seq is null or p_type not in ('approval_requested', 'tool_started', 'tool_finished'))
    and x.kid is not distinct from case when substring(body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(body) end
    and not exists (select from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = k);
  if h is not null then
    update savefile.sessions x set
      state = p_state, due_at = due, owner_seen_at = now_at, head = next, head_hash = h, head_at = event_at, stalls = 0,
      updated_at = case when due is distinct from x.due_at then event_at else x.updated_at end,
      finished_seq = case when p_type = 'turn_finished' then next else x.finished_seq end,
      answer_seq = case when who = 'agent' then next else x.answer_seq end
    where x.space_id = p_space and x.session_id = p_session and x.xmin = version;
    if found then
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      values (p_space, p_session, next, p_type, p_v, event_at, who, k, kid, body, prev, h);
      -- Live text stays until the next answer of its session, so that who reads it sees its end.
      if who = 'agent' then
        delete from savefile.draft_deltas x where x.space_id = p_space and x.session_id = p_session and x.step <> p_subject;
      end if;
      status := 'appended'; head := next; seqs := array[next];
      return;
    end if;
  end if;
  select a.status, a.head, a.seqs into status, head, seqs
  from savefile.append(p_space, p_session, p_epoch, p_head, array[p_type], array[p_v], array[p_subject], array[p_tool], array[p_payload], array[null::text], p_state, p_due) a;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.beat(p_spaces text[], p_sessions text[], p_steps text[], p_tokens text[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform set_config('synchronous_commit', 'off', true);
  return query
    with held as materialized (
      select x.space_id, x.session_id, x.step from unnest(p_spaces, p_sessions, p_steps, p_tokens) h (space_id, session_id, step, token)
      join savefile.drafts x using (space_id, session_id, step)
      where x.token = h.token and x.state = 'running' and x.beat_at is not null
      order by 1, 2, 3 for no key update of x)
    update savefile.drafts x set beat_at = savefile.now_us() from held h
    where x.space_id = h.space_id and x.session_id = h.session_id and x.step = h.step
    returning x.token;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.call_spec(p_space text, p_session text, p_call text, OUT call json, OUT tool json)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
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
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.chain(p_prev bytea, p_rests bytea[])
 RETURNS bytea[]
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
declare
  h bytea := p_prev;
  rest bytea;
  hashes bytea[] := '{}';
begin
  foreach rest in array p_rests loop
    h := sha256('\x0000000a7361766566696c652f3100000020'::bytea || h || rest);
    hashes := hashes || h;
  end loop;
  return hashes;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_blocks(p_space text, p_session text, p_blocks json)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_checkpoint(p_space text, p_session text, p_of text, p json)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_keys(p_what text, p json, p_needed text[], p_optional text[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  keys text[];
begin
  if p is null or json_typeof(p) <> 'object' then perform savefile.not_valid(p_what || ' is not an object'); end if;
  keys := array(select json_object_keys(p));
  if not keys @> p_needed or not keys <@ (p_needed || p_optional) or cardinality(keys) <> (select count(distinct k) from unnest(keys) k) then
    perform savefile.not_valid(p_what || ' does not have the fields that it must have, or others');
  end if;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_payload(p_space text, p_session text, p_type text, p_subject text, p_definition text, p json)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_principal(p_principal text)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
begin
  if p_principal !~ '^[\x21-\x7e]{1,200}$' then
    raise exception 'savefile: a principal is 1 to 200 printable ASCII characters without spaces' using errcode = 'invalid_parameter_value';
  end if;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_state(p_state text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  if p_state is null or p_state not in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker', 'locked') then
    raise exception 'savefile: a session is not %', p_state using errcode = 'check_violation';
  end if;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.check_types(p_what text, p json, p_type text, p_fields text[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  f text;
begin
  foreach f in array p_fields loop
    if json_typeof(p -> f) <> p_type then perform savefile.not_valid(p_what || '.' || f || ' is no ' || p_type); end if;
  end loop;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.claim_draft(p_space text, p_session text, p_epoch bigint, p_step text, p_token text, p_safe boolean, p_ttl bigint, OUT status text, OUT attempt integer, OUT attempts text, OUT retry_us bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s_epoch bigint; s_head bigint; s_closed boolean; now_at bigint;
  d savefile.drafts;
begin
  -- FOR SHARE: FOR KEY SHARE would not keep a new epoch from being claimed meanwhile.
  select x.epoch, x.head, x.closed into s_epoch, s_head, s_closed from savefile.sessions x
  where x.space_id = p_space and x.session_id = p_session for share;
  if s_epoch is distinct from p_epoch then status := 'stale_epoch'; return; end if;
  if s_closed then status := 'closed'; return; end if;
  now_at := savefile.now_us();
  attempt := 1;
  attempts := '[]';
  status := 'claimed';
  select * into d from savefile.drafts x where x.space_id = p_space and x.session_id = p_session and x.step = p_step for no key update;
  if not found then
    -- Whoever loses a race for the first claim gets a unique violation, and asks again: ON CONFLICT would cost every claim a WAL record.
    insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state, beat_at)
    values (p_space, p_session, p_step, s_head, p_epoch, 1, p_token, now_at, 'running', now_at);
    return;
  end if;
  now_at := savefile.now_us();
  attempt := d.attempt;
  attempts := d.attempts;
  if d.state <> 'running' then status := d.state; return; end if;
  if d.token = p_token then return; end if;
  if d.beat_at > now_at - p_ttl then
    status := 'busy';
    retry_us := d.beat_at + p_ttl - now_at;
    return;
  end if;
  if not p_safe then
    update savefile.drafts x set state = 'closed', outcome = 'unknown' where x.space_id = p_space and x.session_id = p_session and x.step = p_step;
    status := 'closed';
    return;
  end if;
  attempts := left(d.attempts, -1) || case when d.attempts = '[]' then '' else ',' end
    || format('{"n":%s,"at":%s,"outcome":"%s"}]', d.attempt, d.claimed_at, coalesce(d.released, 'vanished'));
  attempt := d.attempt + 1;
  update savefile.drafts x set
    epoch = p_epoch, token = p_token, attempt = claim_draft.attempt, attempts = claim_draft.attempts,
    claimed_at = now_at, beat_at = now_at, released = null
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.claim_session(p_space text, p_session text, p_cluster text, p_run text, p_takeover boolean, p_ttl bigint, OUT status text, OUT epoch bigint, OUT retry_us bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
  now_at bigint; heard bigint; swept integer;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  if s.closed then status := 'closed'; return; end if;
  if s.custody <> 'live' then status := s.custody; return; end if;
  now_at := savefile.now_us();
  status := 'claimed';
  epoch := s.epoch;
  if s.owner_cluster = p_cluster and s.owner_run = p_run then
    update savefile.sessions x set owner_seen_at = now_at where x.space_id = p_space and x.session_id = p_session;
    return;
  end if;
  if s.owner_cluster <> p_cluster and not p_takeover then
    select max(x.beat_at) into heard from savefile.drafts x
    where x.space_id = p_space and x.session_id = p_session and x.born >= s.answer_seq and x.state = 'running';
    heard := greatest(heard, s.owner_seen_at);
    if heard > now_at - p_ttl then
      status := 'owned_elsewhere';
      epoch := null;
      retry_us := heard + p_ttl - now_at;
      return;
    end if;
  end if;
  epoch := s.epoch + 1;
  -- Rule 15: rows of turns that finished under an older epoch than this one. A few at once; sweep() does the rest of a long turn.
  delete from savefile.drafts x where x.ctid = any (array(
    select y.ctid from savefile.drafts y
    where y.space_id = p_space and y.session_id = p_session and y.born < s.finished_seq
    order by y.born limit 100));
  get diagnostics swept = row_count;
  update savefile.sessions x set
    epoch = claim_session.epoch, owner_cluster = p_cluster, owner_run = p_run, owner_seen_at = now_at,
    sweep_to = case when swept = 100 then s.finished_seq end
  where x.space_id = p_space and x.session_id = p_session;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.close_drafts(p_space text, p_session text, p_epoch bigint, p_steps text[], p_tokens text[], p_outcomes text[])
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s_epoch bigint; s_head bigint; c record;
begin
  select x.epoch, x.head into s_epoch, s_head from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for share;
  if s_epoch is distinct from p_epoch then return 'stale_epoch'; end if;
  for c in select * from unnest(p_steps, p_tokens, p_outcomes) u (step, token, outcome) order by step loop
    if c.token is null then
      insert into savefile.drafts (space_id, session_id, step, born, epoch, attempt, token, claimed_at, state, outcome)
      values (p_space, p_session, c.step, s_head, p_epoch, 0, '', savefile.now_us(), 'closed', c.outcome) on conflict do nothing;
    else
      update savefile.drafts x set state = 'closed', outcome = c.outcome
      where x.space_id = p_space and x.session_id = p_session and x.step = c.step and x.token = c.token and x.state = 'running';
    end if;
  end loop;
  return 'closed';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.create_compaction(p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text, p_of text, p_checkpoint_v integer, p_checkpoint text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
  status text;
  h bytea;
begin
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_of;
  if not found then return 'session_not_found'; end if;
  status := savefile.create_session(p_space, p_session, p_actor, p_definition, p_title, p_labels, p_v, p_payload);
  if status <> 'created' then return status; end if;
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  h := savefile.add_event(p_space, p_session, 2, s.head_hash, s.head_at, 'checkpoint_made', p_checkpoint_v, p_actor, 'p:compaction', convert_to(p_checkpoint, 'UTF8'));
  update savefile.sessions x set head = 2, head_hash = h, compacted_from = p_of where x.space_id = p_space and x.session_id = p_session;
  return status;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.create_session(p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  at bigint := savefile.now_us();
  body bytea := convert_to(p_payload, 'UTF8');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  perform from savefile.definitions x where x.space_id = p_space and x.hash = p_definition;
  if not found then return 'definition_not_found'; end if;
  insert into savefile.sessions (space_id, session_id, created_at, title, labels, definition, updated_at, head, head_at, head_hash)
  values (p_space, p_session, at, p_title, p_labels, p_definition, at, 1, at,
    savefile.event_hash('', p_session, 1, 'session_created', p_v, at, p_actor, 'x:created', null, body))
  on conflict do nothing;
  if not found then return 'session_exists'; end if;
  insert into savefile.lineage (space_id, session_id, src, lo, hi) values (p_space, p_session, p_session, 1, 9223372036854775807);
  insert into savefile.session_definitions (space_id, session_id, seq, definition) values (p_space, p_session, 1, p_definition);
  perform savefile.add_event(p_space, p_session, 1, '', at, 'session_created', p_v, p_actor, 'x:created', body);
  return 'created';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.create_token(p_space text, p_actor text, p_principal text, p_rights text[], p_hash bytea, p_expires bigint, p_label text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.definition_at(p_space text, p_session text, p_seq bigint)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  select y.definition from savefile.lineage l
  cross join lateral (
    select z.seq, z.definition from savefile.session_definitions z
    where z.space_id = l.space_id and z.session_id = l.src and z.seq between l.lo and least(l.hi, p_seq)
    order by z.seq desc limit 1) y
  where l.space_id = p_space and l.session_id = p_session
  order by y.seq desc limit 1
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.drop_queue_calls()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  delete from savefile.queue_calls q where q.ctid = any (array(
    select y.ctid from gone g
    cross join lateral (
      select z.ctid from savefile.queue_calls z
      where z.space_id = g.space_id and z.session_id = g.session_id and z.call = substr(g.step, 6) offset 0) y
    where g.step like 'tool@%'));
  return null;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.erase_session(p_space text, p_session text, p_actor text, p_v integer, p_closed_v integer, p_why text, OUT status text, OUT seq bigint, OUT head bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.event_hash(prev_hash bytea, session_id text, seq bigint, type text, v integer, at bigint, actor text, key text, kid text, payload bytea)
 RETURNS bytea
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select sha256(
    '\x0000000a7361766566696c652f31'::bytea
    || int4send(octet_length(prev_hash)) || prev_hash
    || int4send(octet_length(session_id)) || convert_to(session_id, 'UTF8')
    || int4send(octet_length(seq::text)) || convert_to(seq::text, 'UTF8')
    || int4send(octet_length(type)) || convert_to(type, 'UTF8')
    || int4send(octet_length(v::text)) || convert_to(v::text, 'UTF8')
    || int4send(octet_length(at::text)) || convert_to(at::text, 'UTF8')
    || int4send(octet_length(actor)) || convert_to(actor, 'UTF8')
    || int4send(octet_length(key)) || convert_to(key, 'UTF8')
    || int4send(octet_length(coalesce(kid, ''))) || convert_to(coalesce(kid, ''), 'UTF8')
    || '\x00000020'::bytea || sha256(payload))
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.event_rest(session_id text, seq bigint, type text, v integer, at bigint, actor text, key text, kid text, payload bytea)
 RETURNS bytea
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select int4send(octet_length(session_id)) || convert_to(session_id, 'UTF8')
    || int4send(octet_length(seq::text)) || convert_to(seq::text, 'UTF8')
    || int4send(octet_length(type)) || convert_to(type, 'UTF8')
    || int4send(octet_length(v::text)) || convert_to(v::text, 'UTF8')
    || int4send(octet_length(at::text)) || convert_to(at::text, 'UTF8')
    || int4send(octet_length(actor)) || convert_to(actor, 'UTF8')
    || int4send(octet_length(key)) || convert_to(key, 'UTF8')
    || int4send(octet_length(coalesce(kid, ''))) || convert_to(coalesce(kid, ''), 'UTF8')
    || '\x00000020'::bytea || sha256(payload)
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.executor_beat(p_space text, p_session text, p_call text, p_token text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return false; end if;
  return exists (select from savefile.beat(array[p_space], array[p_session], array['tool@' || p_call], array[p_token]));
end $function$
-- grants savefile_executor=X

CREATE OR REPLACE FUNCTION savefile.executor_claim(p_space text, p_session text, p_epoch bigint, p_call text, p_token text, p_ttl bigint, p_keys text[] DEFAULT '{}'::text[], OUT status text, OUT attempt integer, OUT attempts text, OUT retry_us bigint, OUT tool text, OUT args text, OUT idempotency_key text, OUT timeout_ms bigint, OUT work_folder text, OUT safe boolean, OUT sealed_for text, OUT body bytea)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_executor=X

CREATE OR REPLACE FUNCTION savefile.executor_finish(p_space text, p_session text, p_call text, p_token text, p_v integer, p_payload text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_executor=X

CREATE OR REPLACE FUNCTION savefile.executor_holds(p_space text, p_session text, p_call text, p_token text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select (savefile.queue_call(p_space, p_session, p_call)).started is not null and exists (
    select from savefile.drafts d
    where d.space_id = p_space and d.session_id = p_session and d.step = 'tool@' || p_call and d.token = p_token and d.state = 'running')
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.executor_output(p_space text, p_session text, p_call text, p_token text, p_n bigint, p_body text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return false; end if;
  perform savefile.write_deltas(array[p_space], array[p_session], array['tool@' || p_call], array[p_token], array[p_n], array['output'], array[p_body]);
  return true;
end $function$
-- grants savefile_executor=X

CREATE OR REPLACE FUNCTION savefile.executor_put_blob(p_space text, p_session text, p_call text, p_token text, p_media_type text, p_content bytea)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return null; end if;
  if octet_length(p_content) > 67108864 then perform savefile.not_valid('a blob has at most 67108864 bytes'); end if;
  return savefile.put_blob(p_space, p_session, p_media_type, p_content);
end $function$
-- grants savefile_executor=X

CREATE OR REPLACE FUNCTION savefile.executor_release(p_space text, p_session text, p_call text, p_token text, p_why text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if not savefile.executor_holds(p_space, p_session, p_call, p_token) then return false; end if;
  if p_why not in ('cut_off', 'timeout', 'internal') then perform savefile.not_valid('why is cut_off, timeout or internal'); end if;
  perform savefile.release_draft(p_space, p_session, 'tool@' || p_call, p_token, p_why);
  return true;
end $function$
-- grants savefile_executor=X

CREATE OR REPLACE FUNCTION savefile.field(bytes bytea)
 RETURNS bytea
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case when bytes is null then '\x00000000'::bytea else int4send(octet_length(bytes)) || bytes end
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.field(t text)
 RETURNS bytea
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case when t is null then '\x00000000'::bytea else int4send(octet_length(t)) || convert_to(t, 'UTF8') end
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.finish_and_append(p_space text, p_session text, p_step text, p_token text, p_type text, p_v integer, p_payload text, p_epoch bigint, p_head bigint, p_types text[], p_vs integer[], p_subjects text[], p_tools text[], p_payloads text[], p_drafts text[], p_state text, p_due bigint, OUT finished text, OUT status text, OUT head bigint, OUT seqs bigint[])
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  -- First, as everywhere: whoever claims locks the session's row and then the draft's.
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  finished := savefile.finish_draft(p_space, p_session, p_step, p_token, p_type, p_v, p_payload);
  if finished <> 'finished' then return; end if;
  select a.status, a.head, a.seqs into status, head, seqs
  from savefile.append(p_space, p_session, p_epoch, p_head, p_types, p_vs, p_subjects, p_tools, p_payloads, p_drafts, p_state, p_due) a;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.finish_draft(p_space text, p_session text, p_step text, p_token text, p_type text, p_v integer, p_payload text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  body bytea := convert_to(p_payload, 'UTF8');
begin
  if p_type not in ('model_answered', 'model_failed', 'tool_finished', 'checkpoint_made') then raise exception 'savefile: no step ends with %', p_type; end if;
  update savefile.drafts x set state = 'finished', type = p_type, v = p_v, payload = body
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step and x.token = p_token and x.state = 'running';
  if found then return 'finished'; end if;
  -- A repeat of what was already taken.
  perform from savefile.drafts x
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step and x.token = p_token and x.state = 'finished';
  if found then return 'finished'; end if;
  if p_type = 'tool_finished' and p_step like 'tool@%' then
    if savefile.own_seq(p_space, p_session, 'x:late:' || substr(p_step, 6) || ':' || p_token) is null then
      insert into savefile.evidence (space_id, session_id, call, token, payload)
      values (p_space, p_session, substr(p_step, 6), p_token, body) on conflict do nothing;
      update savefile.sessions x set due_at = least(x.due_at, savefile.now_us()), updated_at = savefile.now_us()
      where x.space_id = p_space and x.session_id = p_session and not x.closed;
    end if;
  end if;
  return 'refused';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.forbid(p_missing text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'savefile: forbidden' using errcode = 'SF403', detail = p_missing;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.fork_session(p_space text, p_parent text, p_seq bigint, p_hash bytea, p_child text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  at bigint;
  seq bigint := p_seq + 1;
  body bytea := convert_to(p_payload, 'UTF8');
  k savefile.events;
  h bytea;
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_parent;
  if not found then return 'session_not_found'; end if;
  select e.* into k from savefile.lineage l
  join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.seq = p_seq
  where l.space_id = p_space and l.session_id = p_parent and p_seq between l.lo and l.hi;
  if not found or k.hash <> p_hash then return 'no_such_event'; end if;
  perform from savefile.definitions x where x.space_id = p_space and x.hash = p_definition;
  if not found then return 'definition_not_found'; end if;
  at := greatest(savefile.now_us(), k.at);
  h := savefile.event_hash(k.hash, p_child, seq, 'forked', p_v, at, p_actor, 'x:forked', null, body);
  -- An open turn goes on in the fork: it is due at once.
  insert into savefile.sessions
    (space_id, session_id, created_at, parent_id, fork_seq, title, labels, definition, updated_at, head, head_at, head_hash, state, due_at)
  values (p_space, p_child, at, p_parent, p_seq, p_title, p_labels, p_definition, at, seq, at, h, 'running', at)
  on conflict do nothing;
  if not found then return 'session_exists'; end if;
  insert into savefile.lineage (space_id, session_id, src, lo, hi)
  select l.space_id, p_child, l.src, l.lo, least(l.hi, p_seq) from savefile.lineage l
  where l.space_id = p_space and l.session_id = p_parent and l.lo <= p_seq
  union all select p_space, p_child, p_child, seq, 9223372036854775807;
  insert into savefile.session_definitions (space_id, session_id, seq, definition) values (p_space, p_child, seq, p_definition);
  perform savefile.add_event(p_space, p_child, seq, k.hash, at, 'forked', p_v, p_actor, 'x:forked', body);
  return 'created';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.full_rights(p_rights text[])
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select case
    when 'own' = any (p_rights) then array['read', 'extend', 'approve', 'fork', 'own']
    else array(select r from unnest(array['read', 'extend', 'approve', 'fork']) with ordinality o (r, n)
      where r = any (p_rights) or (r = 'read' and p_rights && array['approve', 'fork']) order by n) end
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.get_blob(p_space text, p_session text, p_hash text)
 RETURNS bytea
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  select b.content from savefile.blobs b
  where b.space_id = p_space and b.hash = p_hash and exists (
    select from savefile.lineage l
    join savefile.blob_refs r on r.space_id = l.space_id and r.session_id = l.src and r.hash = p_hash and r.seq <= l.hi
    where l.space_id = p_space and l.session_id = p_session)
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.grant_session(p_space text, p_session text, p_actor text, p_grant text, p_principal text, p_rights text[], p_forks boolean, p_expires bigint, p_label text, p_link bytea, OUT status text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.hand_over_call(p_space text, p_session text, p_epoch bigint, p_call text, p_queue text, p_tool text, p_safe boolean, p_sealed_for text, p_body bytea)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for share;
  if not found or s.closed or s.epoch <> p_epoch then return 'stale_epoch'; end if;
  if s.kid is null then raise exception 'savefile: session % is in clear: its calls are read from its log', p_session; end if;
  insert into savefile.queue_calls (space_id, session_id, call, queue, tool, safe, sealed_for, body)
  values (p_space, p_session, p_call, p_queue, p_tool, p_safe, p_sealed_for, p_body) on conflict do nothing;
  return 'handed_over';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.held_grants(p_space text, p_principal text, p_grant text)
 RETURNS TABLE(session_id text, rights text[])
 LANGUAGE sql
 STABLE
AS $function$
  select r.session_id, g.rights from savefile.grants g
  join savefile.reach r on r.space_id = g.space_id and r.grant_id = g.grant_id and r.revoked_at is null
  where g.space_id = p_space and g.revoked_at is null and (g.expires_at is null or g.expires_at > savefile.now_us())
    and (g.principal = p_principal or g.grant_id = p_grant)
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.holder(p_token text, OUT space_id text, OUT principal text, OUT grant_id text, OUT space_rights text[])
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
  select t.space_id, coalesce(t.principal, 'link:' || t.grant_id), t.grant_id, coalesce(p.rights, '{}')
  from savefile.tokens t left join savefile.principals p on p.space_id = t.space_id and p.principal = t.principal
  where t.hash = sha256(convert_to(p_token, 'UTF8')) and t.revoked_at is null and (t.expires_at is null or t.expires_at > savefile.now_us())
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.import_begin(p_space text, p_session text, p_stub boolean, p_base text, p_base_seq bigint, p_parent text, p_title text, p_labels text, p_head bigint, p_hash bytea, p_ttl bigint, OUT status text, OUT head bigint, OUT head_hash bytea, OUT custody text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
  base savefile.events;
  stored bytea;
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
  if not found then
    if p_base is not null then
      select * into base from savefile.events x where x.space_id = p_space and x.session_id = p_base and x.seq = p_base_seq;
      if not found then status := 'base_missing'; return; end if;
    end if;
    head := coalesce(base.seq, 0);
    head_hash := coalesce(base.hash, '');
    insert into savefile.sessions
      (space_id, session_id, created_at, parent_id, fork_seq, title, labels, definition, updated_at, head, head_at, head_hash, custody)
    values (p_space, p_session, 0, p_parent, p_base_seq, p_title, p_labels, '', 0, import_begin.head, coalesce(base.at, 0), import_begin.head_hash, 'arriving')
    on conflict do nothing;
    if not found then
      -- Somebody else's import, or a new session of that name, was first: it is committed by now.
      select b.status, b.head, b.head_hash, b.custody into status, head, head_hash, custody
      from savefile.import_begin(p_space, p_session, p_stub, p_base, p_base_seq, p_parent, p_title, p_labels, p_head, p_hash, p_ttl) b;
      return;
    end if;
    insert into savefile.lineage (space_id, session_id, src, lo, hi)
    select l.space_id, p_session, l.src, l.lo, least(l.hi, p_base_seq) from savefile.lineage l
    where l.space_id = p_space and l.session_id = p_base and l.lo <= p_base_seq
    union all select p_space, p_session, p_session, import_begin.head + 1, 9223372036854775807;
    status := 'new';
    custody := 'arriving';
    return;
  end if;
  if s.head < p_head then
    select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  end if;
  head := s.head;
  head_hash := s.head_hash;
  custody := s.custody;
  if s.head >= p_head then
    select x.hash into stored from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.seq = p_head;
    status := case when stored = p_hash then 'there' else 'diverged' end;
    -- What was a stretch of it is now known to be all of it.
    if status = 'there' and s.custody = 'stub' and not p_stub and s.head = p_head then
      update savefile.sessions x set custody = 'inert' where x.space_id = p_space and x.session_id = p_session;
      custody := 'inert';
    end if;
    return;
  end if;
  if s.custody = 'live' then
    if p_stub then status := 'behind'; return; end if;
    perform from savefile.drafts x
    where x.space_id = p_space and x.session_id = p_session and x.state = 'running' and x.beat_at > savefile.now_us() - p_ttl;
    if found then status := 'busy'; return; end if;
  end if;
  -- A new epoch: whoever executed it learns that it is no longer theirs.
  update savefile.sessions x set custody = 'arriving', epoch = x.epoch + 1, owner_cluster = null, owner_run = null, state = 'idle', due_at = null
  where x.space_id = p_space and x.session_id = p_session;
  status := 'prefix';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.import_blob(p_space text, p_sessions text[], p_media_type text, p_content bytea)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  name text := 'sha256:' || encode(sha256(p_content), 'hex');
begin
  insert into savefile.blobs (space_id, hash, media_type, created_at, content)
  values (p_space, name, p_media_type, savefile.now_us(), p_content) on conflict do nothing;
  insert into savefile.blob_refs (space_id, session_id, hash)
  select x.space_id, x.session_id, name from savefile.sessions x where x.space_id = p_space and x.session_id = any (p_sessions)
  on conflict do nothing;
  return name;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.import_end(p_space text, p_session text, p_stub boolean, p_head bigint, p_hash bytea)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.import_events(p_space text, p_session text, p_types text[], p_vs integer[], p_ats bigint[], p_actors text[], p_keys text[], p_kids text[], p_definitions text[], p_lengths integer[], p_payloads bytea, p_hashes bytea)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.import_key(p_space text, p_session text, p_kid text, p_owner text, p_wrapped bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.input(p_space text, p_session text, p_actor text, p_key text, p_type text, p_v integer, p_subject text, p_payload text, p_definition text, OUT status text, OUT seq bigint, OUT head bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
  e savefile.events;
  version xid; k text; h bytea; prev bytea; sealed text; event_at bigint; now_at bigint;
  body bytea := convert_to(p_payload, 'UTF8');
  works boolean := p_type not in ('definition_changed', 'session_closed', 'result_arrived_late', 'checkpoint_made');
begin
  if p_actor not like 'user:_%' then raise exception 'savefile: a person is user:<principal>'; end if;
  if p_type = 'message_received' then
    now_at := savefile.now_us();
    k := 'p:' || p_key;
    select x.xmin, x.head + 1, x.head_hash, x.kid, greatest(x.head_at, now_at),
        savefile.event_hash(x.head_hash, p_session, x.head + 1, p_type, p_v, greatest(x.head_at, now_at), p_actor, k, x.kid, body)
      into version, seq, prev, sealed, event_at, h
    from savefile.sessions x
    where x.space_id = p_space and x.session_id = p_session and not x.closed and x.custody = 'live'
      and x.kid is not distinct from case when substring(body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(body) end
      and not exists (select from savefile.events y where y.space_id = p_space and y.session_id = p_session and y.key = k);
    if h is not null then
      update savefile.sessions x set
        head = input.seq, head_hash = h, head_at = event_at, updated_at = event_at, due_at = least(x.due_at, event_at),
        state = case when x.state = 'idle' then 'running' else x.state end
      where x.space_id = p_space and x.session_id = p_session and x.xmin = version;
      if found then
        insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
        values (p_space, p_session, input.seq, p_type, p_v, event_at, p_actor, k, sealed, body, prev, h);
        status := 'appended'; head := seq;
        return;
      end if;
    end if;
    seq := null;
  end if;

  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update;
  if not found then status := 'session_not_found'; return; end if;
  head := s.head;
  k := case when p_type in ('message_received', 'definition_changed', 'checkpoint_made') then 'p:' || p_key
    when p_type = 'result_arrived_late' then savefile.structural_key(p_type, p_subject || ':' || p_key)
    when p_type in ('approval_resolved', 'tool_finished', 'session_closed') then savefile.structural_key(p_type, p_subject) end;
  if k is null then raise exception 'savefile: a person does not append %', p_type; end if;

  select * into e from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.key = k;
  if found and p_type = 'approval_resolved' and e.seq < s.custody_seq then
    -- What was decided before custody was taken binds nobody here: it is asked again, and answered under a key of this custody.
    k := k || '@' || s.custody_seq;
    select * into e from savefile.events x where x.space_id = p_space and x.session_id = p_session and x.key = k;
  end if;
  if found then
    seq := e.seq;
    status := case when e.type = p_type and e.payload = body and (k like 'p:%' or e.actor = p_actor) then 'duplicate'
      when k like 'p:%' or p_type = 'result_arrived_late' then 'idempotency_conflict'
      when p_type = 'session_closed' then 'closed' else 'already_resolved' end;
    return;
  end if;
  -- Evidence is taken by a closed session too.
  if s.closed and p_type <> 'result_arrived_late' then status := 'closed'; return; end if;
  if s.custody <> 'live' then status := s.custody; return; end if;

  if p_type = 'approval_resolved' then
    if savefile.lineage_seq(p_space, p_session, 'x:request:' || p_subject) is null then
      status := case when savefile.lineage_seq(p_space, p_session, 'x:started:' || p_subject) is null
        and savefile.lineage_seq(p_space, p_session, 'x:result:' || p_subject) is null then 'call_not_found' else 'not_requested' end;
      return;
    end if;
    seq := savefile.lineage_seq(p_space, p_session, 'x:result:' || p_subject);
    if seq is not null then status := 'already_resolved'; return; end if;
  elsif p_type = 'tool_finished' then
    if savefile.lineage_seq(p_space, p_session, 'x:started:' || p_subject) is null then status := 'call_not_found'; return; end if;
    seq := savefile.lineage_seq(p_space, p_session, k);
    if seq is not null then status := 'already_resolved'; return; end if;
  elsif p_type = 'result_arrived_late' then
    -- Only behind a result that nobody brought: who comes second with one of their own has lost, and is told so.
    if savefile.lineage_seq(p_space, p_session, 'x:result:' || p_subject) is null then status := 'call_not_found'; return; end if;
  elsif p_type = 'definition_changed' then
    perform from savefile.definitions x where x.space_id = p_space and x.hash = p_definition;
    if not found then status := 'definition_not_found'; return; end if;
  end if;

  event_at := greatest(savefile.now_us(), s.head_at);
  head := s.head + 1;
  seq := head;
  h := savefile.add_event(p_space, p_session, head, s.head_hash, event_at, p_type, p_v, p_actor, k, body);
  if p_type = 'definition_changed' then
    insert into savefile.session_definitions (space_id, session_id, seq, definition) values (p_space, p_session, head, p_definition);
  end if;
  update savefile.sessions x set
    head = input.head, head_hash = h, head_at = event_at, updated_at = event_at,
    closed = x.closed or p_type = 'session_closed',
    definition = case when p_type = 'definition_changed' then p_definition else x.definition end,
    due_at = case when p_type = 'session_closed' then null when works then least(x.due_at, event_at) else x.due_at end,
    state = case when p_type = 'session_closed' then 'idle' when works and x.state = 'idle' then 'running' else x.state end
  where x.space_id = p_space and x.session_id = p_session;
  status := 'appended';
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.input_all(p_spaces text[], p_sessions text[], p_actors text[], p_keys text[], p_types text[], p_vs integer[], p_payloads text[])
 RETURNS TABLE(n integer, seq bigint)
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  now_at bigint := savefile.now_us();
begin
  return query
    with calls as materialized (
      select c.i, c.space, c.session, c.actor, 'p:' || c.key as key, c.v, convert_to(c.payload, 'UTF8') as body,
        row_number() over (partition by c.space, c.session order by c.i) as turn
      from unnest(p_spaces, p_sessions, p_actors, p_keys, p_types, p_vs, p_payloads) with ordinality c (space, session, actor, key, type, v, payload, i)
      where c.type = 'message_received' and c.actor like 'user:_%'),
    held as materialized (
      select c.*, x.head + 1 as seq, x.head_hash as prev, x.kid, greatest(now_at, x.head_at) as at
      from calls c
      cross join lateral (
        select * from savefile.sessions y
        where y.space_id = c.space and y.session_id = c.session and not y.closed and y.custody = 'live' for no key update skip locked) x
      cross join lateral (select y.head from savefile.sessions y where y.space_id = c.space and y.session_id = c.session offset 0) seen
      where c.turn = 1 and seen.head = x.head and c.key is not null and c.body is not null
        and x.kid is not distinct from case when substring(c.body from 1 for 7) = 'sealed:'::bytea then savefile.sealed_kid(c.body) end
        -- Not as "not exists", which a plan made while the table is small answers by reading all of it.
        and (select e.seq from savefile.events e where e.space_id = c.space and e.session_id = c.session and e.key = c.key) is null),
    hashed as materialized (
      select h.*, savefile.event_hash(h.prev, h.session, h.seq, 'message_received', h.v, h.at, h.actor, h.key, h.kid, h.body) as hash from held h),
    added as (
      insert into savefile.events (space_id, session_id, seq, type, v, at, actor, key, kid, payload, prev_hash, hash)
      select h.space, h.session, h.seq, 'message_received', h.v, h.at, h.actor, h.key, h.kid, h.body, h.prev, h.hash from hashed h)
    update savefile.sessions x set
      head = h.seq, head_hash = h.hash, head_at = h.at, updated_at = h.at, due_at = least(x.due_at, h.at),
      state = case when x.state = 'idle' then 'running' else x.state end
    from hashed h
    where x.space_id = h.space and x.session_id = h.session and x.head = h.seq - 1
    returning h.i::integer, h.seq;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.input_many(p_spaces text[], p_sessions text[], p_actors text[], p_keys text[], p_types text[], p_vs integer[], p_subjects text[], p_payloads text[], p_definitions text[])
 RETURNS TABLE(n integer, status text, seq bigint, head bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  seqs bigint[] := '{}';
begin
  for n, seq in select * from savefile.input_all(p_spaces, p_sessions, p_actors, p_keys, p_types, p_vs, p_payloads) loop
    seqs[n] := seq;
  end loop;
  for i in 1 .. cardinality(p_spaces) loop
    n := i; seq := seqs[i]; head := seq;
    if seq is not null then status := 'appended';
    elsif savefile.is_busy(p_spaces[i], p_sessions[i]) then status := 'busy';
    else
      select r.status, r.seq, r.head into status, seq, head
      from savefile.input(p_spaces[i], p_sessions[i], p_actors[i], p_keys[i], p_types[i], p_vs[i], p_subjects[i], p_payloads[i], p_definitions[i]) r;
    end if;
    return next;
  end loop;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.is_busy(p_space text, p_session text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
begin
  perform from savefile.sessions x where x.space_id = p_space and x.session_id = p_session for no key update skip locked;
  return not found and exists (select from savefile.sessions x where x.space_id = p_space and x.session_id = p_session);
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.lineage_seq(p_space text, p_session text, p_key text)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  return (
    select e.seq
    from savefile.lineage l
    join savefile.events e on e.space_id = l.space_id and e.session_id = l.src and e.key = p_key and e.seq + 0 between l.lo and l.hi
    where l.space_id = p_space and l.session_id = p_session
    limit 1);
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.list_grants(p_space text, p_session text)
 RETURNS TABLE(grant_id text, session_id text, seq bigint, principal text, rights text[], forks boolean, label text, granted_at bigint, granted_by text, expires_at bigint, revoked_at bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  select g.grant_id, g.session_id, g.seq, g.principal, g.rights, g.forks, g.label, g.granted_at, g.granted_by, g.expires_at,
    coalesce(g.revoked_at, r.revoked_at)
  from savefile.reach r join savefile.grants g on g.space_id = r.space_id and g.grant_id = r.grant_id
  where r.space_id = p_space and r.session_id = p_session order by g.granted_at, g.grant_id
$function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.list_tokens(p_space text, p_principal text)
 RETURNS TABLE(token_id text, principal text, rights text[], label text, created_at bigint, created_by text, expires_at bigint, revoked_at bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  select t.token_id, t.principal, p.rights, t.label, t.created_at, t.created_by, t.expires_at, t.revoked_at
  from savefile.tokens t join savefile.principals p on p.space_id = t.space_id and p.principal = t.principal
  where t.space_id = p_space and t.principal = coalesce(p_principal, t.principal) order by t.created_at, t.token_id
$function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.live_since(p_spaces text[], p_sessions text[], p_cspaces text[], p_csessions text[], p_csteps text[], p_ctokens text[], p_cns bigint[])
 RETURNS TABLE(space_id text, session_id text, step text, token text, n bigint, kind text, body text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  return query
    with recursive streams as (
      select f.space_id, f.session_id, h.step, h.token from unnest(p_spaces, p_sessions) f (space_id, session_id)
      cross join lateral (
        select x.step, x.token from savefile.draft_deltas x
        where x.space_id = f.space_id and x.session_id = f.session_id order by x.step, x.token limit 1) h
      union all
      select t.space_id, t.session_id, h.step, h.token from streams t
      cross join lateral (
        select x.step, x.token from savefile.draft_deltas x
        where x.space_id = t.space_id and x.session_id = t.session_id and (x.step, x.token) > (t.step, t.token) order by x.step, x.token limit 1) h
    )
    select t.space_id, t.session_id, t.step, t.token, x.n, x.kind, x.body
    from (
      select s.*, coalesce(c.n, -1) as after from streams s
      left join unnest(p_cspaces, p_csessions, p_csteps, p_ctokens, p_cns) c (space_id, session_id, step, token, n) using (space_id, session_id, step, token)
    ) t
    -- OFFSET 0: one index scan a stream, however few rows the planner believes there are.
    cross join lateral (
      select y.n, y.kind, y.body from savefile.draft_deltas y
      where y.space_id = t.space_id and y.session_id = t.session_id and y.step = t.step and y.token = t.token and y.n > t.after
      order by y.n offset 0) x
    order by 1, 2, 3, 4, 5;
end $function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.look(p_space text, p_session text, p_epoch bigint, p_after bigint, p_reducer integer, p_ttl bigint)
 RETURNS TABLE(kind text, seq bigint, at bigint, n bigint, a text, b text, c text, d text, e text, f text, g text, body text)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s savefile.sessions;
  snap record;
  after bigint := p_after;
  now_at bigint := savefile.now_us();
begin
  select * into s from savefile.sessions x where x.space_id = p_space and x.session_id = p_session;
  if not found then kind := 'x'; a := 'session_not_found'; return next; return; end if;
  if s.epoch <> p_epoch then kind := 'x'; a := 'stale_epoch'; return next; return; end if;
  kind := 's'; seq := s.head; at := now_at; n := s.due_at; a := s.state;
  return next;
  if after is null then
    select y.seq, y.state into snap from savefile.lineage l
    cross join lateral (
      select z.seq, z.state from savefile.snapshots z
      where z.space_id = l.space_id and z.session_id = l.src and z.reducer_version = p_reducer and z.seq between l.lo and l.hi
      order by z.seq desc limit 1) y
    where l.space_id = p_space and l.session_id = p_session
    order by y.seq desc limit 1;
    after := 0;
    if found then
      after := snap.seq;
      return query select 'p', snap.seq, null::bigint, null::bigint, null, null, null, null, null, null, null, snap.state;
    end if;
  end if;
  if after < s.head then
    return query
      select 'e', v.seq, v.at, v.v::bigint, v.type, v.actor, v.key, v.kid, v.session_id, encode(v.prev_hash, 'hex'), encode(v.hash, 'hex'), convert_from(v.payload, 'UTF8')
      from savefile.lineage l
      cross join lateral (
        select z.* from savefile.events z
        where z.space_id = p_space and z.session_id = l.src and z.seq between greatest(l.lo, after + 1) and least(l.hi, s.head)
        order by z.seq offset 0) v
      where l.space_id = p_space and l.session_id = p_session and l.hi > after
      order by v.seq;
  end if;
  return query
    select 'd', r.attempt::bigint, null::bigint, r.epoch, r.step, r.state, r.token, r.outcome, r.type,
      case when r.beat_at > now_at - p_ttl then 'fresh' else 'silent' end, null, convert_from(r.payload, 'UTF8')
    from savefile.drafts r
    where r.space_id = p_space and r.session_id = p_session and r.born >= s.answer_seq
      and not exists (
        select from savefile.events v where v.space_id = p_space and v.session_id = p_session
          and v.key = case when r.step like 'tool@%' then 'x:result:' || substr(r.step, 6) else 'x:' || r.step end);
  return query
    select 'l', null::bigint, null::bigint, null::bigint, v.call, v.token, null, null, null, null, null, convert_from(v.payload, 'UTF8')
    from savefile.evidence v where v.space_id = p_space and v.session_id = p_session;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.may(p_space text, p_session text, p_rights text[], OUT there boolean, OUT actor text, OUT rights text[], OUT space_rights text[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE
AS $function$
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.may_import(p_space text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here or not 'own' = any (w.space_rights) then perform savefile.forbid('own'); end if;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.may_use(p_space text, p_principal text, p_definition text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
begin
  perform from savefile.definition_offers o where o.space_id = p_space and o.hash = p_definition and o.principal = p_principal;
  if found then return true; end if;
  perform set_config('savefile.scope', '', true);
  return exists (
    select from savefile.session_definitions d
    where d.space_id = p_space and d.definition = p_definition
      and (savefile.token_owns() or d.seq <= (savefile.token_reach() ->> d.session_id)::bigint));
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.member_adopt(p_space text, p_session text, p_actor text, p_head bigint, p_v integer, p_payload text, OUT status text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_create_compaction(p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text, p_of text, p_checkpoint_v integer, p_checkpoint text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_create_session(p_space text, p_session text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_create_token(p_space text, p_actor text, p_principal text, p_rights text[], p_hash bytea, p_expires bigint, p_label text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here or not 'own' = any (w.space_rights) then perform savefile.forbid('own'); end if;
  return savefile.create_token(p_space, w.actor, p_principal, p_rights, p_hash, p_expires, p_label);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_erase_session(p_space text, p_session text, p_actor text, p_v integer, p_closed_v integer, p_why text, OUT status text, OUT seq bigint, OUT head bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  m record;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  select e.status, e.seq, e.head into status, seq, head from savefile.erase_session(p_space, p_session, m.actor, p_v, p_closed_v, p_why) e;
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_fork_session(p_space text, p_parent text, p_seq bigint, p_hash bytea, p_child text, p_actor text, p_definition text, p_title text, p_labels text, p_v integer, p_payload text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_grant_session(p_space text, p_session text, p_actor text, p_grant text, p_principal text, p_rights text[], p_forks boolean, p_expires bigint, p_label text, p_link bytea, OUT status text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  m record;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  select g.status, g.seq into status, seq
  from savefile.grant_session(p_space, p_session, m.actor, p_grant, p_principal, p_rights, p_forks, p_expires, p_label, p_link) g;
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_import_begin(p_space text, p_session text, p_stub boolean, p_base text, p_base_seq bigint, p_parent text, p_title text, p_labels text, p_head bigint, p_hash bytea, p_ttl bigint, OUT status text, OUT head bigint, OUT head_hash bytea, OUT custody text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform savefile.may_import(p_space);
  if p_session !~ '^[a-z0-9][a-z0-9_-]{0,63}$' then perform savefile.not_valid('no session''s id'); end if;
  perform p_labels::jsonb;
  select b.status, b.head, b.head_hash, b.custody into status, head, head_hash, custody
  from savefile.import_begin(p_space, p_session, p_stub, p_base, p_base_seq, p_parent, p_title, p_labels, p_head, p_hash, p_ttl) b;
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_import_blob(p_space text, p_sessions text[], p_media_type text, p_content bytea)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform savefile.may_import(p_space);
  if octet_length(p_content) > 67108864 then perform savefile.not_valid('a blob has at most 67108864 bytes'); end if;
  return savefile.import_blob(p_space, p_sessions, p_media_type, p_content);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_import_end(p_space text, p_session text, p_stub boolean, p_head bigint, p_hash bytea)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform savefile.may_import(p_space);
  return savefile.import_end(p_space, p_session, p_stub, p_head, p_hash);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_import_events(p_space text, p_session text, p_types text[], p_vs integer[], p_ats bigint[], p_actors text[], p_keys text[], p_kids text[], p_definitions text[], p_lengths integer[], p_payloads bytea, p_hashes bytea)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform savefile.may_import(p_space);
  return savefile.import_events(p_space, p_session, p_types, p_vs, p_ats, p_actors, p_keys, p_kids, p_definitions, p_lengths, p_payloads, p_hashes);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_import_key(p_space text, p_session text, p_kid text, p_owner text, p_wrapped bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform savefile.may_import(p_space);
  if p_kid !~ '^[a-z0-9]{16,64}$' or octet_length(p_wrapped) not between 1 and 8192 then perform savefile.not_valid('no key'); end if;
  perform savefile.import_key(p_space, p_session, p_kid, p_owner, p_wrapped);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_input(p_space text, p_session text, p_actor text, p_key text, p_type text, p_v integer, p_subject text, p_payload text, p_definition text, OUT status text, OUT seq bigint, OUT head bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_list_grants(p_space text, p_session text)
 RETURNS TABLE(grant_id text, session_id text, seq bigint, principal text, rights text[], forks boolean, label text, granted_at bigint, granted_by text, expires_at bigint, revoked_at bigint)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if (savefile.may(p_space, p_session, array['own'])).there then return query select * from savefile.list_grants(p_space, p_session); end if;
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_list_tokens(p_space text, p_principal text)
 RETURNS TABLE(token_id text, principal text, rights text[], label text, created_at bigint, created_by text, expires_at bigint, revoked_at bigint)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here then return; end if;
  return query select * from savefile.list_tokens(p_space, case when 'own' = any (w.space_rights) then p_principal else w.principal end);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_put_blob(p_space text, p_session text, p_media_type text, p_content bytea)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if not (savefile.may(p_space, p_session, array['extend', 'approve'])).there then return null; end if;
  if octet_length(p_content) > 67108864 then perform savefile.not_valid('a blob has at most 67108864 bytes'); end if;
  return savefile.put_blob(p_space, p_session, p_media_type, p_content);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_put_definition(p_space text, p_body text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_revoke_grant(p_space text, p_session text, p_actor text, p_grant text, OUT status text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  m record;
begin
  select * into m from savefile.may(p_space, p_session, array['own']);
  if not m.there then status := 'session_not_found'; return; end if;
  select g.status, g.seq into status, seq from savefile.revoke_grant(p_space, p_session, m.actor, p_grant) g;
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_revoke_token(p_space text, p_principal text, p_token_id text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  w record;
begin
  select * into w from savefile.speaker(p_space);
  if not w.here then return 'token_not_found'; end if;
  return savefile.revoke_token(p_space, case when 'own' = any (w.space_rights) then p_principal else w.principal end, p_token_id);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.member_touch_blobs(p_space text, p_session text, p_hashes text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if not (savefile.may(p_space, p_session, array['extend', 'approve'])).there then return '{}'; end if;
  return savefile.touch_blobs(p_space, p_session, p_hashes);
end $function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.new_grant()
 RETURNS text
 LANGUAGE sql
AS $function$
  select 'g' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.not_valid(p_what text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'savefile: %', p_what using errcode = 'invalid_parameter_value';
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.now_us()
 RETURNS bigint
 LANGUAGE sql
AS $function$
  select (extract(epoch from clock_timestamp()) * 1000000)::bigint
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.own_seq(p_space text, p_session text, p_key text)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
AS $function$
begin
  return (select e.seq from savefile.events e where e.space_id = p_space and e.session_id = p_session and e.key = p_key);
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.put_blob(p_space text, p_session text, p_media_type text, p_content bytea)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.put_definition(p_space text, p_body text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  bytes bytea := convert_to(p_body, 'UTF8');
  name text := 'sha256:' || encode(sha256(bytes), 'hex');
begin
  insert into savefile.definitions (space_id, hash, body) values (p_space, name, bytes) on conflict do nothing;
  return name;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.put_session_key(p_space text, p_session text, p_kid text, p_owner text, p_wrapped bytea)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if p_kid !~ '^[a-z0-9]{16,64}$' or octet_length(p_wrapped) not between 1 and 8192 then raise exception 'savefile: no key'; end if;
  insert into savefile.session_keys (space_id, kid, session_id, owner, wrapped, created_at)
  values (p_space, p_kid, p_session, p_owner, p_wrapped, savefile.now_us());
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.queue_call(p_space text, p_session text, p_call text, OUT started json, OUT call json, OUT tool json, OUT sealed_for text, OUT body bytea)
 RETURNS record
 LANGUAGE sql
 STABLE
AS $function$
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
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.reach_fork()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  insert into savefile.reach (space_id, session_id, grant_id)
  select new.space_id, new.session_id, r.grant_id from savefile.reach r
  join savefile.grants g on g.space_id = r.space_id and g.grant_id = r.grant_id
  where r.space_id = new.space_id and r.session_id = new.parent_id and g.forks and g.revoked_at is null and r.revoked_at is null;
  return null;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.read_events(p_space text, p_session text, p_from bigint, p_to bigint, p_bytes bigint)
 RETURNS TABLE(seq bigint, session_id text, type text, v integer, at bigint, actor text, key text, kid text, payload text, prev_hash text, hash text)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  return query
    select q.seq, q.session_id, q.type, q.v, q.at, q.actor, q.key, q.kid, convert_from(q.payload, 'UTF8'), encode(q.prev_hash, 'hex'), encode(q.hash, 'hex')
    from (
      select e.*, sum(octet_length(e.payload)) over (order by e.seq) - octet_length(e.payload) as before
      from savefile.lineage l
      -- In the order of the index by seq, so that no other costs as little.
      cross join lateral (
        select x.* from savefile.events x
        where x.space_id = p_space and x.session_id = l.src and x.seq between greatest(l.lo, p_from) and least(l.hi, p_to)
        order by x.seq offset 0) e
      where l.space_id = p_space and l.session_id = p_session and l.lo <= p_to and l.hi >= p_from) q
    where q.before < p_bytes
    order by q.seq;
end $function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'savefile: % of % is refused, what is written there never changes', tg_op, tg_table_name
    using errcode = 'insufficient_privilege', hint = 'A log is corrected by further events; personal data is erased by destroying its key.';
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.refuse_clear(p_session text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'savefile: session % is encrypted, and this was not with its key', p_session using errcode = 'SFKEY';
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.refuse_clear_payload()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  session_kid text;
begin
  select x.kid into session_kid from savefile.sessions x where x.space_id = new.space_id and x.session_id = new.session_id;
  if session_kid is distinct from savefile.sealed_kid(new.payload) then perform savefile.refuse_clear(new.session_id); end if;
  return null;
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.refuse_clear_rows()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.refuse_to_extend(p_session text, p_custody text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'savefile: session % is %, and takes no event until it is adopted', p_session, p_custody
    using errcode = 'object_not_in_prerequisite_state';
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.release_draft(p_space text, p_session text, p_step text, p_token text, p_why text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  update savefile.drafts x set beat_at = null, released = p_why
  where x.space_id = p_space and x.session_id = p_session and x.step = p_step and x.token = p_token and x.state = 'running'
$function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.retain_blobs(p_space text, p_grace bigint, p_limit integer, p_dry boolean, OUT blobs integer, OUT bytes bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.retain_references(p_space text, p_session text, p_head bigint, p_grace bigint, p_found text[], p_lost text[])
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.retain_rows(p_space text, p_what text, p_grace bigint, p_reducer integer, p_limit integer, p_dry boolean)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.revoke_grant(p_space text, p_session text, p_actor text, p_grant text, OUT status text, OUT seq bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.revoke_token(p_space text, p_principal text, p_token_id text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  update savefile.tokens t set revoked_at = coalesce(t.revoked_at, savefile.now_us())
  where t.space_id = p_space and t.token_id = p_token_id and t.principal = coalesce(p_principal, t.principal);
  return case when found then 'revoked' else 'token_not_found' end;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.rewrap_key(p_space text, p_kid text, p_was text, p_owner text, p_wrapped bytea)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if octet_length(p_wrapped) not between 1 and 8192 then raise exception 'savefile: no key'; end if;
  update savefile.session_keys x set owner = p_owner, wrapped = p_wrapped
  where x.space_id = p_space and x.kid = p_kid and x.owner = p_was and x.destroyed_at is null;
  return found;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.save_snapshot(p_space text, p_session text, p_reducer integer, p_seq bigint, p_state text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into savefile.snapshots (space_id, session_id, reducer_version, seq, state) values (p_space, p_session, p_reducer, p_seq, p_state)
  on conflict do nothing;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.sealed_call(p_content bytea)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
declare
  head bytea := p_content;
  kid integer;
begin
  if substring(p_content from 1 for 7) = 'sealed:'::bytea then head := decode(encode(substring(p_content from 8 for 700), 'escape'), 'base64'); end if;
  if substring(head from 1 for 4) is distinct from '\x53464502'::bytea then return null; end if;
  kid := get_byte(head, 4);
  return encode(substring(head from 7 + kid for get_byte(head, 5 + kid)), 'escape');
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.sealed_kid(p_text bytea)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
declare
  head bytea;
begin
  if substring(p_text from 1 for 7) is distinct from 'sealed:'::bytea then return null; end if;
  head := decode(encode(substring(p_text from 8 for 136), 'escape'), 'base64');
  if substring(head from 1 for 4) not in ('\x53464501', '\x53464502') then raise exception 'savefile: not an envelope'; end if;
  return encode(substring(head from 6 for get_byte(head, 4)), 'escape');
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.set_outlook(p_space text, p_session text, p_epoch bigint, p_head bigint, p_state text, p_due bigint)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  due bigint := p_due;
begin
  perform savefile.check_state(p_state);
  perform set_config('synchronous_commit', 'off', true);
  if due is null and exists (select from savefile.evidence x where x.space_id = p_space and x.session_id = p_session) then due := savefile.now_us(); end if;
  update savefile.sessions x set state = p_state, due_at = due, updated_at = case when due is distinct from x.due_at then savefile.now_us() else x.updated_at end
  where x.space_id = p_space and x.session_id = p_session and x.epoch = p_epoch and not x.closed and (p_head is null or x.head = p_head)
    and (x.state, x.due_at) is distinct from (p_state, due);
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.set_queue_login(p_login text, p_space text, p_queue text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  if p_queue is null then delete from savefile.queue_logins q where q.login = p_login and q.space_id = p_space; return; end if;
  insert into savefile.queue_logins (login, space_id, queue) values (p_login, p_space, p_queue)
  on conflict (login, space_id) do update set queue = p_queue;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.speaker(p_space text, OUT principal text, OUT actor text, OUT grant_id text, OUT space_rights text[], OUT here boolean)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
AS $function$
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
end $function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.stalled(p_space text, p_session text)
 RETURNS TABLE(step text, why text, attempt integer, due_in bigint)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  select r.step, r.released, r.attempt, s.due_at - savefile.now_us()
  from savefile.sessions s
  join savefile.drafts r on r.space_id = s.space_id and r.session_id = s.session_id and r.born >= s.answer_seq
  where s.space_id = p_space and s.session_id = p_session and r.state = 'running' and r.beat_at is null and r.released is not null
  order by r.claimed_at desc limit 1
$function$
-- grants savefile_member=X savefile_reader=X savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.structural_key(p_type text, p_subject text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select ('{x:created,x:forked,x:closed,x:,x:,x:request:,x:approval:,x:started:,x:result:,x:late:,x:interrupted:,x:finished:,x:,x:child:,x:child_finished:,x:custody:,x:granted:,x:revoked:,x:key_destroyed:}'::text[])[
      array_position('{session_created,forked,session_closed,model_answered,model_failed,approval_requested,approval_resolved,tool_started,tool_finished,result_arrived_late,interrupted,turn_finished,checkpoint_made,child_started,child_finished,custody_taken,granted,revoked,key_destroyed}'::text[], p_type)]
    || case when p_type in ('session_created', 'forked', 'session_closed') then '' else p_subject end
$function$
-- grants 

CREATE OR REPLACE FUNCTION savefile.sweep(p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  s record;
  n integer; total integer := 0;
begin
  for s in select * from savefile.sessions x where x.sweep_to is not null order by x.space_id, x.session_id limit 100 for no key update skip locked loop
    delete from savefile.drafts x where x.ctid = any (array(
      select y.ctid from savefile.drafts y
      where y.space_id = s.space_id and y.session_id = s.session_id and y.born < s.sweep_to
      order by y.born limit p_limit - total));
    get diagnostics n = row_count;
    total := total + n;
    exit when total >= p_limit;
    update savefile.sessions x set sweep_to = null where x.space_id = s.space_id and x.session_id = s.session_id;
  end loop;
  for s in
    with recursive streaming as (
      (select x.space_id, x.session_id from savefile.draft_deltas x order by x.space_id, x.session_id limit 1)
      union all
      select h.space_id, h.session_id from streaming t
      cross join lateral (
        select x.space_id, x.session_id from savefile.draft_deltas x
        where (x.space_id, x.session_id) > (t.space_id, t.session_id) order by x.space_id, x.session_id limit 1) h
    )
    select t.space_id, t.session_id, y.answer_seq from streaming t
    cross join lateral (select y.state, y.answer_seq from savefile.sessions y where y.space_id = t.space_id and y.session_id = t.session_id offset 0) y
    where y.state = 'idle' limit 100
  loop
    -- A step that began since the look keeps its text. What runs was born since the last answer: by either index a few rows are read.
    delete from savefile.draft_deltas x where x.space_id = s.space_id and x.session_id = s.session_id and not exists (
      select from savefile.drafts r
      where r.space_id = x.space_id and r.session_id = x.session_id and r.step = x.step and r.token = x.token and r.born >= s.answer_seq and r.state = 'running'
      offset 0);
  end loop;
  return total;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.take_due(p_limit integer, p_again bigint, p_ttl bigint)
 RETURNS TABLE(space_id text, session_id text, stalls integer)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
declare
  now_at bigint := savefile.now_us();
begin
  for space_id, session_id in
    select s.space_id, s.session_id from savefile.sessions s
    where s.due_at <= now_at and not exists (
      select from savefile.drafts r
      where r.space_id = s.space_id and r.session_id = s.session_id and r.born >= s.answer_seq and r.state = 'running' and r.beat_at > now_at - p_ttl
      offset 0)
    order by s.due_at limit p_limit for no key update of s skip locked
  loop
    update savefile.sessions s set due_at = now_at + p_again, stalls = s.stalls + 1
    where s.space_id = take_due.space_id and s.session_id = take_due.session_id
    returning s.stalls into stalls;
    return next;
  end loop;
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.token_owns()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  return coalesce((select 'own' = any (h.space_rights) from savefile.holder(current_setting('savefile.token', true)) h), false);
end $function$
-- grants savefile_member=X savefile_reader=X

CREATE OR REPLACE FUNCTION savefile.token_principal()
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  return (select h.principal from savefile.holder(current_setting('savefile.token', true)) h);
end $function$
-- grants savefile_member=X savefile_reader=X

CREATE OR REPLACE FUNCTION savefile.token_reach()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_member=X savefile_reader=X

CREATE OR REPLACE FUNCTION savefile.token_space()
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
begin
  return (select h.space_id from savefile.holder(current_setting('savefile.token', true)) h);
end $function$
-- grants savefile_member=X savefile_reader=X

CREATE OR REPLACE FUNCTION savefile.touch_blobs(p_space text, p_session text, p_hashes text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
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
end $function$
-- grants savefile_writer=X

CREATE OR REPLACE FUNCTION savefile.whoami(OUT space_id text, OUT principal text, OUT rights text[])
 RETURNS record
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  select h.space_id, h.principal, h.space_rights from savefile.holder(current_setting('savefile.token', true)) h
$function$
-- grants savefile_member=X

CREATE OR REPLACE FUNCTION savefile.write_deltas(p_spaces text[], p_sessions text[], p_steps text[], p_tokens text[], p_ns bigint[], p_kinds text[], p_bodies text[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'savefile', 'pg_temp'
AS $function$
  insert into savefile.draft_deltas (space_id, session_id, step, token, n, kind, body)
  select * from unnest(p_spaces, p_sessions, p_steps, p_tokens, p_ns, p_kinds, p_bodies) on conflict do nothing
$function$
-- grants savefile_writer=X
