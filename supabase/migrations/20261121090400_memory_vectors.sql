-- VECTOR_STORE=pgvector: vectors and words of memories, derived from the ledger. Empty where Qdrant keeps them.
--
-- No index over the vectors themselves: a search reads one namespace through a btree and compares all of it, so it finds
-- everything. `words` numbers each term; neither text nor metadata is kept here.

-- A new Supabase project has the extension, but not enabled.
create extension if not exists vector with schema extensions;

create table public.memory_vectors (
  memory_id uuid not null,
  generation integer not null,
  project_id uuid not null references public.projects (id) on delete cascade,
  namespace text not null,
  embedding extensions.vector not null,
  words extensions.sparsevec not null,
  primary key (memory_id, generation)
);
create index memory_vectors_by_namespace on public.memory_vectors (namespace, generation);
create index memory_vectors_by_project on public.memory_vectors (project_id, generation);

-- One row: which generation is searched, which one is being filled, and the embedder each was made by.
create table public.memory_vector_generations (
  only_row boolean primary key default true check (only_row),
  current integer not null default 1,
  embedder text,
  dimensions integer,
  following integer,
  following_embedder text,
  following_dimensions integer,
  last integer not null default 1
);
insert into public.memory_vector_generations default values;

alter table public.memory_vectors enable row level security;
alter table public.memory_vector_generations enable row level security;
alter table public.memory_vectors force row level security;
alter table public.memory_vector_generations force row level security;
-- Supabase gives new tables to everybody; these are only for the backend.
revoke all on public.memory_vectors, public.memory_vector_generations from public, anon, authenticated;

grant select, insert, update, delete on public.memory_vectors to authenticated;
create policy backend on public.memory_vectors to authenticated
  using (project_id = (select private.project_id()))
  with check (project_id = (select private.project_id()));
grant select on public.memory_vector_generations to authenticated;
create policy backend on public.memory_vector_generations for select to authenticated
  using ((select private.project_id()) is not null);

-- The system sees which memories are indexed, never their vectors or words.
grant select (memory_id, generation, project_id), delete on public.memory_vectors to keepsake_system;
create policy system_read on public.memory_vectors for select to keepsake_system using (true);
create policy system_remove on public.memory_vectors for delete to keepsake_system using (true);
grant select, update on public.memory_vector_generations to keepsake_system;
create policy system on public.memory_vector_generations to keepsake_system using (true) with check (true);
