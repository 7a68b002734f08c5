-- mem0's "user profiles". A profile is a set of memories in this house, so what is made of one is called its portrait.

create table public.portraits (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text not null,
  profile_id uuid not null,
  content jsonb not null,
  -- What it was made of: with one of these it goes.
  memory_ids uuid[] not null,
  note text,
  generation_count integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id),
  unique (project_id, user_id, profile_id),
  foreign key (project_id, user_id, profile_id) references public.profiles (project_id, user_id, id) on delete cascade
);

-- Who asked for portraits, and the events that say how each went. `user_id` is null for a sample of the whole project.
create table public.portrait_jobs (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  operation text not null check (operation in ('trigger', 'sample', 'refresh')),
  idempotency_key text not null check (length(idempotency_key) between 1 and 200),
  event_ids uuid[] not null default '{}',
  created_at timestamptz not null default now(),
  unique (project_id, id),
  check ((operation = 'sample') = (user_id is null)),
  unique nulls not distinct (project_id, user_id, idempotency_key)
);
create index portrait_jobs_by_age on public.portrait_jobs (created_at);
create index portrait_jobs_samples on public.portrait_jobs (project_id, created_at desc) where user_id is null;
create index events_of_portraits on public.events (project_id, user_id, created_at desc) where event_type = 'PROFILE';

alter table public.portraits enable row level security;
alter table public.portrait_jobs enable row level security;
alter table public.portraits force row level security;
alter table public.portrait_jobs force row level security;
grant select, insert, update, delete on public.portraits, public.portrait_jobs to authenticated;
create policy backend on public.portraits to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy backend on public.portrait_jobs to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));

-- Housekeeping knows ids and ages only.
grant select (id, created_at), delete on public.portrait_jobs to keepsake_system;
create policy system on public.portrait_jobs to keepsake_system using (true);

-- A portrait may repeat any word of what it was made of, so it does not outlive it by a moment, however it was deleted.
create function private.portraits_fade() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.portraits p using gone g
  where p.project_id = g.project_id and p.user_id = g.user_id and g.id = any (p.memory_ids);
  return null;
end $$;
create trigger memories_portrayed after delete on public.memories
  referencing old table as gone for each statement execute function private.portraits_fade();

-- Whose default profile has so many memories that are younger than its portrait, or than the last try in vain. Each
-- namespace is counted from its newest memory down, and no further than needed.
create function private.portraits_due(threshold integer, most integer)
returns table (project_id uuid, user_id text, profile_id uuid)
language sql stable security definer set search_path = '' as $$
  select f.project_id, f.user_id, f.id
  from public.projects p
  join public.profiles f on f.project_id = p.id and f.is_default
  left join public.portraits t on t.project_id = f.project_id and t.user_id = f.user_id and t.profile_id = f.id
  cross join lateral (
    select greatest(t.updated_at, max(e.created_at)) as at, coalesce(bool_or(e.status in ('PENDING', 'RUNNING')), false)
      as waiting
    from public.events e
    where e.project_id = f.project_id and e.user_id = f.user_id and e.event_type = 'PROFILE'
      and (e.status <> 'SUCCEEDED' or e.request ->> 'outcome' = 'insufficient_data')
  ) tried
  cross join lateral (
    select count(*) as many from (
      select from public.memories m
      where m.namespace = f.project_id || ':' || f.id and m.created_at > coalesce(tried.at, '-infinity')
      limit threshold
    ) newest
  ) young
  where p.settings ->> 'profiles_enabled' = 'true' and not tried.waiting and young.many >= threshold
  limit most
$$;
revoke all on function private.portraits_due(integer, integer), private.portraits_fade() from public;
grant execute on function private.portraits_due(integer, integer) to keepsake_system;
