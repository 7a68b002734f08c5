-- The ledger: what is remembered, and everything that ever happened to it. Vectors are derived from these rows.

create table public.memories (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  profile_id uuid,
  namespace text not null,
  agent_id text,
  app_id text,
  run_id text,
  kind text not null check (kind in ('fact', 'episode')),
  role text not null default 'user' check (role in ('user', 'assistant', 'system')),
  content text not null,
  context text,
  metadata jsonb not null default '{}',
  categories text[],
  importance real check (importance between 0 and 1),
  hash bytea not null,
  state text not null default 'pending' check (state in ('pending', 'indexed')),
  immutable boolean not null default false,
  expires_on date,
  archived_at timestamptz,
  replaced_by uuid,
  access_count integer not null default 0,
  accessed_at timestamptz[] not null default '{}',
  source_message_id uuid,
  event_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id),
  check ((user_id is null) = (profile_id is null)),
  foreign key (project_id, user_id, profile_id) references public.profiles (project_id, user_id, id) on delete cascade
);
create index memories_by_namespace on public.memories (namespace, created_at desc, id desc);
create index memories_by_profile on public.memories (project_id, user_id, profile_id);
create index memories_by_hash on public.memories (namespace, hash);
create index memories_pending on public.memories (created_at) where state = 'pending';
create index memories_user on public.memories (user_id);

-- Append-only. A deleted memory keeps the fact that it was deleted, never its text.
create table public.memory_history (
  id uuid not null default gen_random_uuid() primary key,
  position bigint not null generated always as identity,
  project_id uuid not null references public.projects (id) on delete cascade,
  memory_id uuid not null,
  user_id text,
  agent_id text,
  app_id text,
  run_id text,
  event text not null check (event in ('ADD', 'UPDATE', 'DELETE')),
  old_memory text,
  new_memory text,
  input jsonb,
  metadata jsonb,
  created_at timestamptz not null default now(),
  unique (project_id, id)
);
create index memory_history_by_memory on public.memory_history (project_id, memory_id, position);
create index memory_history_user on public.memory_history (project_id, user_id);

-- What was asked of the memory engine, and how it went. `messages` is emptied once nothing is left to do with it.
create table public.events (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  namespace text,
  session_id uuid,
  event_type text not null,
  status text not null check (status in ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED')),
  messages jsonb,
  request jsonb not null default '{}',
  results jsonb not null default '[]',
  note text,
  error text,
  job_id bigint,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz,
  unique (project_id, id),
  foreign key (project_id, user_id, session_id) references public.sessions (project_id, user_id, id) on delete cascade
);
create index events_by_session on public.events (session_id) where session_id is not null;
create index events_by_project on public.events (project_id, created_at desc, id desc);
create index events_by_user on public.events (project_id, user_id);

-- Vectors whose rows are gone, until the index has been told. Written in the transaction that removes the row.
create table public.vector_removals (
  memory_id uuid primary key,
  project_id uuid not null,
  created_at timestamptz not null default now()
);
create function private.remember_removal() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.vector_removals (memory_id, project_id)
  select id, project_id from gone on conflict do nothing;
  update public.memory_history h set old_memory = null, new_memory = null, input = null, metadata = null
  from gone where h.project_id = gone.project_id and h.memory_id = gone.id;
  return null;
end $$;
create trigger memories_removed after delete on public.memories
  referencing old table as gone for each statement execute function private.remember_removal();

-- Whoever pauses a session or goes incognito means what was just said too: extraction that has not finished stops.
create function private.stop_extraction() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.events
  where project_id = new.project_id and session_id = new.id and status in ('PENDING', 'RUNNING');
  return null;
end $$;
create trigger sessions_paused after update of privacy_mode on public.sessions
  for each row when (old.privacy_mode = 'normal' and new.privacy_mode <> 'normal')
  execute function private.stop_extraction();

alter table public.memories enable row level security;
alter table public.memory_history enable row level security;
alter table public.events enable row level security;
alter table public.vector_removals enable row level security;
alter table public.memories force row level security;
alter table public.memory_history force row level security;
alter table public.events force row level security;
alter table public.vector_removals force row level security;

grant select, insert, update, delete on public.memories, public.memory_history, public.events to authenticated;
create policy backend on public.memories to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy own on public.memories for select to authenticated
  using ((select private.project_id()) is null and user_id = (select auth.uid())::text
    and project_id in (select private.my_projects()));
create policy backend on public.memory_history to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy backend on public.events to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));

-- Sweeps see ids and states, never what was said.
grant select (id, project_id, state, created_at, updated_at), update (state) on public.memories to keepsake_system;
create policy system_read on public.memories for select to keepsake_system using (true);
create policy system_mark on public.memories for update to keepsake_system using (true);
grant select (id, project_id, status, created_at, updated_at, job_id) on public.events to keepsake_system;
create policy system on public.events for select to keepsake_system using (true);
grant select, delete on public.vector_removals to keepsake_system;
create policy system on public.vector_removals to keepsake_system using (true);
