-- A standing memory is part of every prompt of its profile. `source` is who said a memory, and `door` the API that it
-- came through; both are null in rows that are older than these columns.

alter table public.memories
  add column standing boolean not null default false,
  add column source text check (source in ('user', 'assistant', 'tool', 'import')),
  add column door text check (door in ('mem0', 'chat', 'messages', 'import'));
create index memories_standing on public.memories (namespace, created_at desc, id desc) where standing;
