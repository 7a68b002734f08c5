-- A memory that is said again keeps a record of each further source in its history.
alter table public.memory_history drop constraint memory_history_event_check;
alter table public.memory_history add constraint memory_history_event_check
  check (event in ('ADD', 'UPDATE', 'DELETE', 'ARCHIVE', 'RESTORE', 'SUPERSEDE', 'REPLACE', 'MOVE', 'REPEAT'));
create index memory_history_repeats on public.memory_history (project_id, (metadata ->> 'message_id'))
  where event = 'REPEAT';

-- A message that is deleted, by itself or with its session, is no source any more.
create function private.messages_forgotten() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.memory_history h using gone g
  where h.project_id = g.project_id and h.event = 'REPEAT' and h.metadata ->> 'message_id' = g.id::text;
  return null;
end $$;
create trigger messages_forgotten after delete on public.messages
  referencing old table as gone for each statement execute function private.messages_forgotten();
revoke all on function private.messages_forgotten() from public;
