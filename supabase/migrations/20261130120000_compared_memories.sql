-- The memories whose neighbours a language model has compared with them, so that it is not asked again each day.
create table public.compared_memories (
  project_id uuid not null references public.projects (id) on delete cascade,
  memory_id uuid not null,
  compared_at timestamptz not null,
  primary key (project_id, memory_id),
  foreign key (project_id, memory_id) references public.memories (project_id, id) on delete cascade
);
alter table public.compared_memories enable row level security;
alter table public.compared_memories force row level security;
revoke all on public.compared_memories from public, anon, authenticated;
grant select, insert, update on public.compared_memories to keepsake_system;
create policy system on public.compared_memories to keepsake_system using (true) with check (true);
