-- Which embedder the searches of a project use, where it is not the default one: docs/decisions/0044.
create table public.project_embedders (
  project_id uuid primary key references public.projects (id) on delete cascade,
  chosen text not null check (chosen in ('english', 'multilingual')),
  -- The index that answers searches. It follows `chosen` once the other one is filled.
  serving text not null default 'english' check (serving in ('english', 'multilingual')),
  phase text not null default 'settled' check (phase in ('settled', 'filling', 'retiring', 'removing')),
  -- Changes with `serving` and `phase`: a process that knows another version has written to other indexes.
  version uuid not null default gen_random_uuid(),
  -- The last memory that the new index has, the number of those up to it, and that of all.
  position uuid,
  done integer not null default 0,
  total integer not null default 0,
  updated_at timestamptz not null default now()
);
alter table public.project_embedders enable row level security;
alter table public.project_embedders force row level security;
revoke all on public.project_embedders from public, anon, authenticated;
grant select, insert, update, delete on public.project_embedders to keepsake_system;
create policy system on public.project_embedders to keepsake_system using (true) with check (true);

-- The index that a second embedder fills remains in use, so that it loses the vectors of a project that is deleted.
create function private.change_embedder() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  one text := 'embedder:' || new.project_id;
begin
  insert into public.maintenance (name, done, total, state) values ('index.multilingual', 0, 0, 'running')
  on conflict do nothing;
  -- The triggers of the queue name its tables without their schema. This ends with the function.
  perform set_config('search_path', 'jobs, pg_temp', true);
  perform jobs.procrastinate_defer_jobs_v1(array[row('default', 'memory.change_embedder', 0, one, null,
    jsonb_build_object('project_id', new.project_id), null)::jobs.procrastinate_job_to_defer_v1]);
  return null;
end $$;
revoke all on function private.change_embedder() from public;
create trigger project_embedders_chosen after insert or update of chosen on public.project_embedders
  for each row execute function private.change_embedder();

-- pgvector: one generation in use for each embedder.
alter table public.memory_vector_generations drop column only_row;
alter table public.memory_vector_generations add column name text primary key default 'default';
grant insert on public.memory_vector_generations to keepsake_system;
