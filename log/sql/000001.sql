-- The tables. Who may do what is in 000005.sql; what is here in the column lists of events and lineage can't be changed once logs exist.
-- Times are microseconds since 1970, by this database's clock. Every key begins with the space.

create table savefile.migrations (
  n integer primary key,
  name text not null,
  applied_at timestamptz not null default now()
);

-- One row a session, locked FOR NO KEY UPDATE during an append. What an append changes stands together, behind what it does not:
-- the WAL of an update is then the changed bytes only. Only due_at and updated_at are indexed, and a step changes neither.
create table savefile.sessions (
  space_id text not null,
  session_id text not null,
  created_at bigint not null,
  parent_id text,
  fork_seq bigint,
  title text,
  labels text not null default '{}',
  definition text not null,
  closed boolean not null default false,
  owner_cluster text,
  owner_run text,
  -- The lease number: whoever appends as an executor must hold it.
  epoch bigint not null default 0,
  -- Draft rows born below this seq may be swept (PROTOCOL.md rule 15); null where none is left.
  sweep_to bigint,
  state text not null default 'idle',
  due_at bigint,
  -- When somebody last spoke, or what is due last changed: what a list is ordered by.
  updated_at bigint not null,
  stalls integer not null default 0,
  owner_seen_at bigint,
  head bigint not null,
  head_at bigint not null,
  -- Seq of the last turn_finished, and of the last answer (or failed answer), in this session's own rows; 0 where none.
  finished_seq bigint not null default 0,
  answer_seq bigint not null default 0,
  head_hash bytea not null,
  primary key (space_id, session_id),
  constraint sessions_state check (state in ('idle', 'running', 'waiting_approval', 'waiting_result', 'newer_worker'))
) with (fillfactor = 60);
create index sessions_due on savefile.sessions (due_at) where due_at is not null;
create index sessions_listed on savefile.sessions (space_id, updated_at desc, session_id desc);
create index sessions_to_sweep on savefile.sessions (space_id, session_id) where sweep_to is not null;

-- The truth. `payload` is the JSON text that its writer produced, as UTF-8 bytes, verbatim (where kid is null).
create table savefile.events (
  space_id text not null,
  session_id text not null,
  seq bigint not null,
  type text not null,
  v integer not null,
  at bigint not null,
  actor text not null,
  key text not null,
  kid text,
  payload bytea not null,
  prev_hash bytea not null,
  hash bytea not null,
  primary key (space_id, session_id, seq),
  constraint events_key unique (space_id, session_id, key),
  constraint events_size check (octet_length(payload) <= 4194304)
);

-- Which stretch of which log each stretch of a session comes from; a session's own stretch has no end.
create table savefile.lineage (
  space_id text not null,
  session_id text not null,
  src text not null,
  lo bigint not null,
  hi bigint not null,
  primary key (space_id, session_id, lo)
);

create table savefile.definitions (
  space_id text not null,
  hash text not null,
  body bytea not null,
  primary key (space_id, hash)
);

-- From which seq on a session runs under which definition; also its reference to it.
create table savefile.session_definitions (
  space_id text not null,
  session_id text not null,
  seq bigint not null,
  definition text not null,
  primary key (space_id, session_id, seq)
);

create table savefile.blobs (
  space_id text not null,
  hash text not null,
  media_type text not null,
  created_at bigint not null,
  content bytea not null,
  primary key (space_id, hash)
);

create table savefile.blob_refs (
  space_id text not null,
  session_id text not null,
  hash text not null,
  primary key (space_id, session_id, hash)
);

-- One row a step. `born`: the head when the row was made; it says of which turn the step is, and which rows are no longer open.
create table savefile.drafts (
  space_id text not null,
  session_id text not null,
  step text not null,
  born bigint not null,
  epoch bigint not null,
  attempt integer not null,
  token text not null,
  claimed_at bigint not null,
  -- JSON text: the attempts before this one.
  attempts text not null default '[]',
  state text not null,
  -- Null: released, with the reason beside it.
  beat_at bigint,
  released text,
  outcome text,
  type text,
  v integer,
  payload bytea,
  primary key (space_id, session_id, step),
  constraint drafts_state check (state in ('running', 'finished', 'closed')),
  constraint drafts_size check (octet_length(payload) <= 4194304)
) with (fillfactor = 50);
create index drafts_born on savefile.drafts (space_id, session_id, born);

-- Tool results that were refused, until they are in the log as result_arrived_late.
create table savefile.evidence (
  space_id text not null,
  session_id text not null,
  call text not null,
  token text not null,
  payload bytea not null,
  primary key (space_id, session_id, call, token)
);

create table savefile.snapshots (
  space_id text not null,
  session_id text not null,
  reducer_version integer not null,
  seq bigint not null,
  state text not null,
  primary key (space_id, session_id, reducer_version, seq)
);

-- The live stream: lost with a crash of Postgres, and no loss.
create unlogged table savefile.draft_deltas (
  space_id text not null,
  session_id text not null,
  step text not null,
  token text not null,
  n bigint not null,
  kind text not null,
  body text not null,
  primary key (space_id, session_id, step, token, n)
);

-- The second line of L2, behind the privileges: it binds the owner and superusers too (ALWAYS: also in replica mode).
create function savefile.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'savefile: % of % is refused, what is written there never changes', tg_op, tg_table_name
    using errcode = 'insufficient_privilege', hint = 'A log is corrected by further events; personal data is erased by destroying its key.';
end $$;

create trigger append_only before update or delete or truncate on savefile.events for each statement execute function savefile.refuse_change();
create trigger append_only before update or delete or truncate on savefile.lineage for each statement execute function savefile.refuse_change();
create trigger immutable before update or truncate on savefile.definitions for each statement execute function savefile.refuse_change();
create trigger immutable before update or truncate on savefile.blobs for each statement execute function savefile.refuse_change();
alter table savefile.events enable always trigger append_only;
alter table savefile.lineage enable always trigger append_only;
alter table savefile.definitions enable always trigger immutable;
alter table savefile.blobs enable always trigger immutable;
