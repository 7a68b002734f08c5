-- A named set of memories of one user. Exactly one of a user's profiles is the default.

create table public.profiles (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text not null check (length(user_id) between 1 and 500),
  name text not null check (length(name) between 1 and 200),
  description text,
  persona text,
  is_default boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (project_id, id),
  unique (project_id, user_id, id),
  unique (project_id, user_id, name)
);
create unique index profiles_one_default on public.profiles (project_id, user_id) where is_default;
create index profiles_user on public.profiles (user_id);

alter table public.profiles enable row level security;
alter table public.profiles force row level security;
grant select, insert, update, delete on public.profiles to authenticated;
create policy backend on public.profiles to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy own on public.profiles for select to authenticated
  using ((select private.project_id()) is null and user_id = (select auth.uid())::text
    and project_id in (select private.my_projects()));
grant select (id, project_id, user_id) on public.profiles to keepsake_system;
create policy system on public.profiles for select to keepsake_system using (true);
