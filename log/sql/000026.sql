-- L12 in a database that was just made: a plan that a connection made of an empty table may be a walk, and it keeps it until the table is first
-- analysed. Autovacuum does that within a minute or so, where it is on; the reconciler does it here, each time that a table has grown fourfold.
-- Who has a table just now is not waited for. @returns those that were analysed
create function savefile.analyse_grown() returns text[] language plpgsql security definer set search_path = pg_catalog, savefile, pg_temp as $$
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
end $$;
revoke all on function savefile.analyse_grown() from public;
grant execute on function savefile.analyse_grown() to savefile_writer;
