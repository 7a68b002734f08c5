-- Whom a project tells of what happens to its memories, and what became of each telling. Categories, given afterwards.

create table public.webhooks (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  url text not null check (length(url) between 1 and 2000),
  event_types text[] not null check (cardinality(event_types) > 0),
  -- The secret itself is nowhere: it is derived from the server's own, the id and this number.
  secret_version integer not null default 1,
  rotated_at timestamptz,
  is_active boolean not null default true,
  paused_at timestamptz,
  failures integer not null default 0,
  failing_since timestamptz,
  rests_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id)
);
create index webhooks_active on public.webhooks (project_id) where is_active;

-- What was told names a memory, never its words: they are looked up when it is told.
create table public.webhook_deliveries (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null,
  webhook_id uuid not null,
  event_type text not null,
  memory_id uuid not null,
  status text not null default 'PENDING' check (status in ('PENDING', 'DELIVERED', 'FAILED')),
  attempts integer not null default 0,
  response_status integer,
  error text,
  created_at timestamptz not null default now(),
  attempted_at timestamptz,
  next_attempt_at timestamptz,
  delivered_at timestamptz,
  unique (project_id, id),
  foreign key (project_id, webhook_id) references public.webhooks (project_id, id) on delete cascade
);
create index webhook_deliveries_by_webhook on public.webhook_deliveries (webhook_id, created_at desc, id desc);
create index webhook_deliveries_by_age on public.webhook_deliveries (created_at);

-- Structured exports, asked for by a schema. What was found stands here until somebody fetches it, for a week at most.
create table public.memory_exports (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  request jsonb not null,
  status text not null default 'PENDING' check (status in ('PENDING', 'SUCCEEDED', 'FAILED')),
  result jsonb,
  error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id)
);
create index memory_exports_by_project on public.memory_exports (project_id, created_at desc);
create index memory_exports_by_age on public.memory_exports (created_at);

alter table public.memories
  add column categorized_at timestamptz,
  add column categorize_after timestamptz,
  add column categorize_tries smallint not null default 0;
create index memories_uncategorized on public.memories (project_id, created_at)
  where categories is null and categorized_at is null;

alter table public.webhooks enable row level security;
alter table public.webhook_deliveries enable row level security;
alter table public.memory_exports enable row level security;
alter table public.webhooks force row level security;
alter table public.webhook_deliveries force row level security;
alter table public.memory_exports force row level security;
grant select, insert, update, delete on public.webhooks, public.webhook_deliveries, public.memory_exports
  to authenticated;
create policy backend on public.webhooks to authenticated
  using (project_id = (select private.project_id()) and (select private.user_id()) is null)
  with check (project_id = (select private.project_id()) and (select private.user_id()) is null);
create policy backend on public.webhook_deliveries to authenticated
  using (project_id = (select private.project_id()) and (select private.user_id()) is null)
  with check (project_id = (select private.project_id()) and (select private.user_id()) is null);
create policy backend on public.memory_exports to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));

-- Housekeeping knows ids and ages only.
grant select (id, created_at), delete on public.webhook_deliveries, public.memory_exports to keepsake_system;
create policy system on public.webhook_deliveries to keepsake_system using (true);
create policy system on public.memory_exports to keepsake_system using (true);
grant select (categories, categorized_at, categorize_after) on public.memories to keepsake_system;

-- One delivery and one job for each webhook that wants to hear of it, in the transaction that makes the change. Where
-- nobody does, this is one look into a small index.
create function private.tell_webhooks(project uuid, happened text, ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.webhooks w where w.project_id = project and w.is_active) then
    return;
  end if;
  with told as (
    insert into public.webhook_deliveries (project_id, webhook_id, event_type, memory_id)
    select w.project_id, w.id, happened, m
    from public.webhooks w cross join unnest(ids) m
    where w.project_id = project and w.is_active and happened = any (w.event_types)
    returning id
  ), work as (
    select array_agg(row('webhooks', 'webhooks.deliver', 0, null, null,
      jsonb_build_object('project_id', project, 'delivery_id', told.id), null
    )::jobs.procrastinate_job_to_defer_v1) as found from told
  )
  select null into happened from work, lateral jobs.procrastinate_defer_jobs_v1(work.found)
  where work.found is not null;
end $$;

-- One job for however many memories: whoever comes while it waits finds it there and writes none.
create function private.wake_categorizer(project uuid, seconds double precision) returns void
language plpgsql security definer set search_path = '' as $$
declare
  one text := 'categorize:' || project;
begin
  if exists (select from jobs.procrastinate_jobs j where j.queueing_lock = one and j.status = 'todo') then
    return;
  end if;
  perform jobs.procrastinate_defer_jobs_v1(array[row('default', 'memory.categorize', 0, one, one,
    jsonb_build_object('project_id', project), now() + make_interval(secs => seconds)
  )::jobs.procrastinate_job_to_defer_v1]);
exception when unique_violation then
  return;
end $$;

-- A project may say when what is added from now on expires, where it does not say so itself.
create function private.apply_expiry(project uuid, ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  on_day date;
  days integer;
begin
  select (p.settings ->> 'expiration_date')::date, (p.settings ->> 'expiration_days')::integer into on_day, days
  from public.projects p where p.id = project;
  if on_day is not null or days is not null then
    update public.memories m
    set expires_on = coalesce(on_day, (m.created_at at time zone 'UTC')::date + days)
    where m.id = any (ids) and m.expires_on is null;
  end if;
end $$;

create function private.memories_added() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  place record;
begin
  for place in
    select project_id, array_agg(id) as ids, bool_or(categories is null) as bare from fresh group by project_id
  loop
    perform private.apply_expiry(place.project_id, place.ids);
    perform private.tell_webhooks(place.project_id, 'memory_add', place.ids);
    if place.bare then
      perform private.wake_categorizer(place.project_id, 1);
    end if;
  end loop;
  return null;
end $$;
create trigger memories_added after insert on public.memories
  referencing new table as fresh for each statement execute function private.memories_added();

create function private.memories_gone() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  place record;
begin
  for place in select project_id, array_agg(id) as ids from gone group by project_id loop
    perform private.tell_webhooks(place.project_id, 'memory_delete', place.ids);
  end loop;
  return null;
end $$;
create trigger memories_gone after delete on public.memories
  referencing old table as gone for each statement execute function private.memories_gone();

create function private.memory_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.tell_webhooks(new.project_id, tg_argv[0], array[new.id]);
  return null;
end $$;
create trigger memories_changed after update of content, metadata on public.memories
  for each row when (old.content is distinct from new.content or old.metadata is distinct from new.metadata)
  execute function private.memory_changed('memory_update');
create trigger memories_categorized after update of categories on public.memories
  for each row when (old.categories is distinct from new.categories and new.categories is not null)
  execute function private.memory_changed('memory_categorize');

revoke all on function private.tell_webhooks(uuid, text, uuid[]), private.wake_categorizer(uuid, double precision),
  private.apply_expiry(uuid, uuid[]), private.memories_added(), private.memories_gone(), private.memory_changed()
  from public;
grant execute on function private.wake_categorizer(uuid, double precision) to authenticated, keepsake_system;
