-- Exports of a person's or a project's data, and the rules by which an import finds its rows again.

create table public.data_exports (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  -- The user whose data it holds, who may read it. Null for the data of the whole project.
  user_id text check (length(user_id) between 1 and 500),
  state text not null default 'pending' check (state in ('pending', 'running', 'finished', 'failed')),
  done bigint not null default 0,
  total bigint not null default 0,
  size bigint not null default 0,
  digest text,
  counts jsonb not null default '{}',
  error text,
  -- The run that writes the file. An earlier one that is still alive finds that it is not its own any more.
  run_id uuid,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  expires_at timestamptz not null default now() + interval '24 hours',
  unique (project_id, id)
);
create index data_exports_by_age on public.data_exports (project_id, created_at desc, id desc);
create index data_exports_by_expiry on public.data_exports (expires_at);

-- The file in pieces of equal size, so that any process can send any part of it.
create table public.data_export_chunks (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text,
  export_id uuid not null,
  number integer not null,
  content bytea not null,
  unique (project_id, id),
  unique (project_id, export_id, number),
  foreign key (project_id, export_id) references public.data_exports (project_id, id) on delete cascade
);

alter table public.data_exports enable row level security;
alter table public.data_export_chunks enable row level security;
alter table public.data_exports force row level security;
alter table public.data_export_chunks force row level security;
revoke all on public.data_exports, public.data_export_chunks from public, anon, authenticated;
grant select, insert, update, delete on public.data_exports, public.data_export_chunks to authenticated;
create policy backend on public.data_exports to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy backend on public.data_export_chunks to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
grant select (id, expires_at), delete on public.data_exports to keepsake_system;
create policy system on public.data_exports to keepsake_system using (true);

-- Of the ids that an import brings, those that it must replace by `renamed`: another project or another user has them,
-- or an earlier import already replaced them. No other fact about those rows is told.
create function private.ids_to_rename(kind text, ids uuid[], renamed uuid[]) returns setof uuid
language plpgsql stable security definer set search_path = '' as $$
declare
  own constant text := 'x.project_id = private.project_id()'
    ' and (private.user_id() is null or x.user_id = private.user_id())';
begin
  if kind not in ('profiles', 'sessions', 'messages', 'memories', 'memory_history', 'feedback', 'portraits',
    'entities') then
    raise exception 'no table of an import is called %', kind;
  end if;
  return query execute format(
    'select given.id from unnest($1, $2) as given (id, renamed)'
    ' where exists (select from public.%1$I x where x.id = given.renamed and %2$s)'
    ' or exists (select from public.%1$I x where x.id = given.id and (%2$s) is not true)', kind, own)
    using ids, renamed;
end $$;
revoke all on function private.ids_to_rename(text, uuid[], uuid[]) from public;
grant execute on function private.ids_to_rename(text, uuid[], uuid[]) to authenticated;

-- What an export tells about the account of a user, if that account is a member of the project. Never a credential.
create function private.exported_account(account uuid)
returns table (id uuid, email text, metadata jsonb, created_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select u.id, nullif(u.email, '')::text, coalesce(u.raw_user_meta_data, '{}'), u.created_at
  from auth.users u
  where u.id = account and u.deleted_at is null
    and (private.user_id() is null or private.user_id() = account::text)
    and exists (select from private.projects_of(account) p where p.project_id = private.project_id())
$$;
revoke all on function private.exported_account(uuid) from public;
grant execute on function private.exported_account(uuid) to authenticated;
