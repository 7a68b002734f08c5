-- Users, agents, apps and runs that were given a name or metadata of their own, and what people thought of a memory.
-- An entity exists as soon as a memory names it: a row here is only for what is said about it besides.

create table public.entities (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  type text not null check (type in ('user', 'agent', 'app', 'run')),
  entity_id text not null check (length(entity_id) between 1 and 500),
  display_name text check (length(display_name) between 1 and 500),
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id),
  unique (project_id, type, entity_id),
  -- A user's own row is that user's; agents, apps and runs belong to the project.
  check ((type = 'user') = (user_id is not null) and (user_id is null or user_id = entity_id))
);

create table public.feedback (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  memory_id uuid not null,
  feedback text not null check (feedback in ('POSITIVE', 'NEGATIVE', 'VERY_NEGATIVE')),
  reason text check (length(reason) <= 10000),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id),
  foreign key (project_id, memory_id) references public.memories (project_id, id) on delete cascade
);
create index feedback_by_memory on public.feedback (project_id, memory_id);

-- Lists and counts of what belongs to an agent, an app or a run.
create index memories_by_agent on public.memories (project_id, agent_id) where agent_id is not null;
create index memories_by_app on public.memories (project_id, app_id) where app_id is not null;
create index memories_by_run on public.memories (project_id, run_id) where run_id is not null;

alter table public.entities enable row level security;
alter table public.feedback enable row level security;
alter table public.entities force row level security;
alter table public.feedback force row level security;
grant select, insert, update, delete on public.entities, public.feedback to authenticated;
create policy backend on public.entities to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy backend on public.feedback to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
