-- What each project and key used on each day, in UTC. token_usage remains what the monthly budgets are compared with.

create table public.usage_by_day (
  project_id uuid not null references public.projects (id) on delete cascade,
  day date not null,
  -- Null for people and for work in the background.
  key_id uuid,
  requests bigint not null default 0,
  throttled bigint not null default 0,
  memories bigint not null default 0,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  cost numeric not null default 0,
  unique nulls not distinct (project_id, day, key_id),
  foreign key (project_id, key_id) references public.api_keys (project_id, id) on delete cascade
);
create index usage_by_day_of_key on public.usage_by_day (project_id, key_id);
alter table public.usage_by_day enable row level security;
alter table public.usage_by_day force row level security;
revoke all on public.usage_by_day from public, anon, authenticated;
grant select, insert, update on public.usage_by_day to authenticated, keepsake_system;
create policy backend on public.usage_by_day to authenticated
  using (project_id = (select private.project_id())) with check (project_id = (select private.project_id()));
create policy system on public.usage_by_day to keepsake_system using (true) with check (true);

-- The key that sent the request, if one did.
create function private.acting_key() returns uuid language sql stable set search_path = '' as
  $$ select substring(private.actor() from '^key:(.*)$')::uuid $$;
revoke all on function private.acting_key() from public;
grant execute on function private.acting_key() to authenticated;
