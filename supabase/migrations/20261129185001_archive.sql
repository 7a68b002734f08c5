-- Archived memories are in the ledger only. Whatever archives one removes it from the index and from what was derived
-- from it; whatever restores one keeps a removal that is still due from removing it again.
alter table public.memory_history drop constraint memory_history_event_check;
alter table public.memory_history add constraint memory_history_event_check
  check (event in ('ADD', 'UPDATE', 'DELETE', 'ARCHIVE', 'RESTORE'));
create index memories_archived on public.memories (project_id, archived_at) where archived_at is not null;
grant select (archived_at) on public.memories to keepsake_system;

create function private.memory_archived() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.archived_at is null then
    delete from public.vector_removals r where r.memory_id = new.id;
    return null;
  end if;
  insert into public.vector_removals (memory_id, project_id) values (new.id, new.project_id) on conflict do nothing;
  delete from public.portraits p
  where p.project_id = new.project_id and p.user_id = new.user_id and new.id = any (p.memory_ids);
  return null;
end $$;
create trigger memories_archived after update of archived_at on public.memories
  for each row when ((old.archived_at is null) <> (new.archived_at is null))
  execute function private.memory_archived();

-- For end users as well, who cannot see the webhooks of their project.
create function private.announce_memories(happened text, ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform private.tell_webhooks(private.project_id(), happened, ids);
end $$;
revoke all on function private.memory_archived(), private.announce_memories(text, uuid[]) from public;
grant execute on function private.announce_memories(text, uuid[]) to authenticated;
