-- A memory can be moved to another profile of its user.
alter table public.memory_history drop constraint memory_history_event_check;
alter table public.memory_history add constraint memory_history_event_check
  check (event in ('ADD', 'UPDATE', 'DELETE', 'ARCHIVE', 'RESTORE', 'SUPERSEDE', 'REPLACE', 'MOVE'));

-- What was derived from it in the old profile goes.
create function private.memory_moved() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.portraits p
  where p.project_id = new.project_id and p.user_id = new.user_id and p.profile_id = old.profile_id
    and new.id = any (p.memory_ids);
  return null;
end $$;
create trigger memories_moved after update of profile_id on public.memories
  for each row when (old.profile_id is distinct from new.profile_id)
  execute function private.memory_moved();
revoke all on function private.memory_moved() from public;
