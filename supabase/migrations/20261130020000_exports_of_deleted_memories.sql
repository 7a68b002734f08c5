-- The exports of a deleted memory's user hold its text, and must be requested again.
create or replace function private.remember_removal() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.vector_removals (memory_id, project_id)
  select id, project_id from gone on conflict do nothing;
  update public.memory_history h set old_memory = null, new_memory = null, input = null, metadata = null
  from gone where h.project_id = gone.project_id and h.memory_id = gone.id;
  update public.events e set request = e.request - array['metadata', 'instructions', 'categories']
  from gone
  where e.project_id = gone.project_id and e.id = gone.event_id and e.status = 'SUCCEEDED'
    and e.request ?| array['metadata', 'instructions', 'categories'];
  delete from public.data_exports x
  using (select distinct project_id, user_id from gone where user_id is not null) whose
  where x.project_id = whose.project_id and x.user_id = whose.user_id;
  return null;
end $$;
