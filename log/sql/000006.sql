-- The structural keys of checkpoints, children, custody, grants and the end of a key. `subject`: the checkpoint's step, the child's id, the
-- head that custody was taken from, the grant's id, the key's id.
create or replace function savefile.structural_key(p_type text, p_subject text) returns text language plpgsql immutable as $$
begin
  return case p_type
    when 'session_created' then 'x:created'
    when 'forked' then 'x:forked'
    when 'model_answered' then 'x:' || p_subject
    when 'model_failed' then 'x:' || p_subject
    when 'approval_requested' then 'x:request:' || p_subject
    when 'approval_resolved' then 'x:approval:' || p_subject
    when 'tool_started' then 'x:started:' || p_subject
    when 'tool_finished' then 'x:result:' || p_subject
    when 'result_arrived_late' then 'x:late:' || p_subject
    when 'interrupted' then 'x:interrupted:' || p_subject
    when 'turn_finished' then 'x:finished:' || p_subject
    when 'session_closed' then 'x:closed'
    when 'checkpoint_made' then 'x:' || p_subject
    when 'child_started' then 'x:child:' || p_subject
    when 'child_finished' then 'x:child_finished:' || p_subject
    when 'custody_taken' then 'x:custody:' || p_subject
    when 'granted' then 'x:granted:' || p_subject
    when 'revoked' then 'x:revoked:' || p_subject
    when 'key_destroyed' then 'x:key_destroyed:' || p_subject
  end;
end $$;
