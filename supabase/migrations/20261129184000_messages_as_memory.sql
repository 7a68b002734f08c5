-- Messages that applications store for search: rows of the ledger of their own kind, which no memory API returns.

alter table public.memories add column tenant_id text check (length(tenant_id) between 1 and 500),
  add column conversation_id text check (length(conversation_id) between 1 and 500);
alter table public.memories drop constraint memories_kind_check,
  add constraint memories_kind_check check (kind in ('fact', 'episode', 'message')),
  add constraint memories_of_conversations check ((kind = 'message') = (conversation_id is not null)
    and (kind = 'message' or tenant_id is null) and (kind <> 'message' or categories is not null));
create index memories_by_conversation on public.memories (namespace, conversation_id, created_at desc, id desc)
  where conversation_id is not null;

-- The kind of what changed, so that the history of memories contains no messages after these were deleted. Older rows have
-- none, and are of memories.
alter table public.memory_history add column kind text;

-- Webhooks, expiry and categories are about memories. Nothing here is about messages.
create or replace function private.memories_added() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  place record;
begin
  for place in
    select f.project_id, array_agg(f.id) as ids,
      exists (select from public.projects p where p.id = f.project_id
        and coalesce(p.settings ->> 'expiration_date', p.settings ->> 'expiration_days') is not null) as expire,
      exists (select from public.webhooks w where w.project_id = f.project_id and w.is_active) as are_told,
      bool_or(f.categories is null) and not exists (select from jobs.procrastinate_jobs j
        where j.queueing_lock = 'categorize:' || f.project_id and j.status = 'todo') as wake
    from fresh f where f.kind <> 'message' group by f.project_id
  loop
    if place.expire then
      perform private.apply_expiry(place.project_id, place.ids);
    end if;
    if place.are_told then
      perform private.tell_webhooks(place.project_id, 'memory_add', place.ids);
    end if;
    if place.wake then
      perform private.wake_categorizer(place.project_id, 1);
    end if;
  end loop;
  return null;
end $$;

create or replace function private.memories_gone() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  place record;
begin
  for place in
    select g.project_id, array_agg(g.id) as ids from gone g where g.kind <> 'message' group by g.project_id
  loop
    perform private.tell_webhooks(place.project_id, 'memory_delete', place.ids);
  end loop;
  return null;
end $$;

create or replace function private.memory_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.kind <> 'message' then
    perform private.tell_webhooks(new.project_id, tg_argv[0], array[new.id]);
  end if;
  return null;
end $$;
