-- Keys that encrypt the content of a project, wrapped by a master key of the operator. Deleting a project deletes its
-- keys, so that copies of its content cannot be read any more. See docs/decisions/0033-encryption-at-rest.md.

create table public.content_keys (
  id uuid primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  number integer not null,
  wrapped bytea not null,
  -- Names the master key without telling anything about it.
  master_key text not null,
  -- Content is written with the newest key from this moment on, when every process has read the key.
  active_from timestamptz not null default now(),
  created_at timestamptz not null default now(),
  unique (project_id, number)
);
alter table public.content_keys enable row level security;
alter table public.content_keys force row level security;
revoke all on public.content_keys from public, anon, authenticated;
grant select, insert, update, delete on public.content_keys to keepsake_system;
create policy system on public.content_keys to keepsake_system using (true) with check (true);

-- Encrypting a memory again changes its column, not its text: no webhook is told.
drop trigger memories_changed on public.memories;
create trigger memories_changed after update of content, metadata on public.memories
  for each row when ((old.content is distinct from new.content or old.metadata is distinct from new.metadata)
    and coalesce(current_setting('keepsake.resealing', true), '') <> 'on')
  execute function private.memory_changed('memory_update');
