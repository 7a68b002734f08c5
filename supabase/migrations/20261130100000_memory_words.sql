-- VECTOR_STORE=milvus or chroma: the store keeps the vectors, and Postgres keeps the words of memories and which
-- collection is in use. Derived from the ledger. Empty with other stores.

create table public.vector_collections (
  id integer generated always as identity primary key,
  store text not null,
  collection text not null,
  state text not null check (state in ('current', 'following', 'retired')),
  embedder text not null,
  dimensions integer not null check (dimensions > 0)
);
-- A store searches one collection and fills at most one other.
create unique index vector_collections_in_use on public.vector_collections (store, state) where state <> 'retired';

create table public.memory_words (
  memory_id uuid not null,
  collection_id integer not null,
  project_id uuid not null references public.projects (id) on delete cascade,
  namespace text not null,
  words extensions.sparsevec not null,
  primary key (memory_id, collection_id)
);
create index memory_words_by_namespace on public.memory_words (namespace, collection_id);
create index memory_words_by_project on public.memory_words (project_id, collection_id);
create index memory_words_by_collection on public.memory_words (collection_id);

alter table public.vector_collections enable row level security;
alter table public.memory_words enable row level security;
alter table public.vector_collections force row level security;
alter table public.memory_words force row level security;

grant select, insert, update, delete on public.memory_words to authenticated;
create policy backend on public.memory_words to authenticated
  using (project_id = (select private.project_id()))
  with check (project_id = (select private.project_id()));
grant select on public.vector_collections to authenticated;
create policy backend on public.vector_collections for select to authenticated
  using ((select private.project_id()) is not null);

-- The system sees which memories are indexed, never their words.
grant select (memory_id, collection_id, project_id), delete on public.memory_words to keepsake_system;
create policy system_read on public.memory_words for select to keepsake_system using (true);
create policy system_remove on public.memory_words for delete to keepsake_system using (true);
grant select, insert, update, delete on public.vector_collections to keepsake_system;
create policy system on public.vector_collections to keepsake_system using (true) with check (true);

do $$
begin
  if current_setting('server_version_num')::integer >= 170000 then
    execute 'grant maintain on public.memory_words to keepsake_app';
  end if;
end $$;
