-- Profiles as stores of documents: what applications note about a profile, and whether documents may still change.
alter table public.profiles
  add column metadata jsonb not null default '{}',
  add column archived_at timestamptz;

-- The documents of a profile by their path.
create index memories_by_path on public.memories (namespace, (metadata ->> 'memory_store_path') collate "C")
  where metadata ? 'memory_store_path';
