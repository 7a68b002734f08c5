-- A user under a legal hold keeps everything: retention and erasure skip the user until the hold is lifted.
create table public.legal_holds (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text not null check (length(user_id) between 1 and 500),
  reason text check (length(reason) <= 2000),
  created_at timestamptz not null default now(),
  unique (project_id, id),
  unique (project_id, user_id)
);
alter table public.legal_holds enable row level security;
alter table public.legal_holds force row level security;
grant select, insert, update, delete on public.legal_holds to authenticated;
create policy backend on public.legal_holds to authenticated
  using (project_id = (select private.project_id()) and (select private.user_id()) is null)
  with check (project_id = (select private.project_id()) and (select private.user_id()) is null);

-- End users cannot read the table, but what they ask to erase must respect it.
create function private.held_users() returns setof text
language sql stable security definer set search_path = '' as $$
  select h.user_id from public.legal_holds h
  where h.project_id = private.project_id() and (private.user_id() is null or h.user_id = private.user_id())
$$;
revoke all on function private.held_users() from public;
grant execute on function private.held_users() to authenticated;
