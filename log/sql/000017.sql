-- Who waits by token is told of a step that is tried again, too: as the caller, under row-level security.
alter function savefile.stalled(text, text) security invoker;
grant execute on function savefile.stalled(text, text) to savefile_reader, savefile_member;
grant select (born, attempt, claimed_at, beat_at, released) on savefile.drafts to savefile_reader, savefile_member;
-- The clock, in functions that run as their caller.
grant execute on function savefile.now_us() to savefile_writer, savefile_reader, savefile_member;
