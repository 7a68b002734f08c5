-- What a retention run archived and deleted. Each batch changes memories and counts in one transaction, so a run that was
-- interrupted goes on where it ended.
create table public.retention_runs (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  cause text not null check (cause in ('schedule', 'request')),
  state text not null default 'queued' check (state in ('queued', 'running', 'finished', 'failed')),
  policy jsonb not null,
  counts jsonb not null default '{}',
  error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  unique (project_id, id)
);
create index retention_runs_by_project on public.retention_runs (project_id, created_at desc, id desc);
-- One run of a project at a time.
create unique index retention_runs_active on public.retention_runs (project_id) where state in ('queued', 'running');
create index retention_runs_by_age on public.retention_runs (created_at);
alter table public.retention_runs enable row level security;
alter table public.retention_runs force row level security;
grant select, insert, update, delete on public.retention_runs to authenticated;
create policy backend on public.retention_runs to authenticated
  using (project_id = (select private.project_id()) and (select private.user_id()) is null)
  with check (project_id = (select private.project_id()) and (select private.user_id()) is null);
grant select (id, project_id, state, created_at), delete on public.retention_runs to keepsake_system;
create policy system on public.retention_runs to keepsake_system using (true);

-- An event that concerns no single memory has details instead: ids and numbers.
alter table public.webhook_deliveries alter column memory_id drop not null, add column details jsonb,
  add constraint webhook_deliveries_subject check ((memory_id is null) = (details is not null));
