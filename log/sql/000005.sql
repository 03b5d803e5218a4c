-- Who may do what (L2). savefile_owner owns everything and runs the functions' bodies; savefile_writer may call them, and reads. Nobody but
-- the owner may insert, and not even the owner may change or delete, an event. savefile_reader and savefile_executor can as yet do nothing:
-- row-level security and queue-bound functions give them their rights.
grant usage on schema savefile to savefile_writer, savefile_executor, savefile_reader;
grant select on savefile.migrations to savefile_writer, savefile_executor, savefile_reader;
grant select on all tables in schema savefile to savefile_writer;

revoke all on all functions in schema savefile from public;
grant execute on function
  savefile.append(text, text, bigint, bigint, text[], integer[], text[], text[], text[], text[], text, bigint),
  savefile.set_outlook(text, text, bigint, bigint, text, bigint),
  savefile.input(text, text, text, text, text, integer, text, text, text),
  savefile.create_session(text, text, text, text, text, text, integer, text),
  savefile.fork_session(text, text, bigint, bytea, text, text, text, text, integer, text),
  savefile.claim_session(text, text, text, text, boolean, bigint),
  savefile.sweep(integer),
  savefile.claim_draft(text, text, bigint, text, text, boolean, bigint),
  savefile.finish_draft(text, text, text, text, text, integer, text),
  savefile.release_draft(text, text, text, text, text),
  savefile.beat(text[], text[], text[], text[]),
  savefile.close_drafts(text, text, bigint, text[], text[], text[]),
  savefile.look(text, text, bigint, bigint, integer, bigint),
  savefile.read_events(text, text, bigint, bigint, bigint),
  savefile.definition_at(text, text, bigint),
  savefile.save_snapshot(text, text, integer, bigint, text),
  savefile.put_definition(text, text),
  savefile.put_blob(text, text, text, bytea),
  savefile.get_blob(text, text, text),
  savefile.write_deltas(text[], text[], text[], text[], bigint[], text[], text[]),
  savefile.live_since(text[], text[], text[], text[], text[], text[], bigint[]),
  savefile.take_due(integer, bigint, bigint),
  savefile.event_hash(bytea, text, bigint, text, integer, bigint, text, text, text, bytea),
  savefile.field(bytea),
  savefile.field(text)
to savefile_writer;
