-- Who may act, and for which project: roles, organizations, projects, members, API keys.
--
-- The application logs in as keepsake_app, which owns nothing and has no rights on any table. Each transaction becomes
-- either `authenticated` (one project, by its claims) or `keepsake_system` (work that belongs to no project).

do $$
begin
  if not exists (select from pg_roles where rolname = 'keepsake_app') then
    create role keepsake_app login noinherit nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'keepsake_system') then
    create role keepsake_system nologin noinherit nobypassrls;
  end if;
end $$;
grant authenticated, keepsake_system to keepsake_app;
grant keepsake_app, keepsake_system to current_user;

-- Supabase can be set up to give everything new in `public` to browsers. Here, every grant is written out.
alter default privileges in schema public revoke all on tables from anon, authenticated;
alter default privileges in schema public revoke all on functions from anon, authenticated;
alter default privileges in schema public revoke all on sequences from anon, authenticated;

create schema if not exists private;
revoke all on schema private from public;
grant usage on schema private to authenticated, keepsake_app, keepsake_system;
grant usage on schema public to authenticated, keepsake_system;

-- The two facts a policy needs. Null outside our own backend, where the claim does not exist.
create function private.project_id() returns uuid language sql stable set search_path = '' as
  $$ select (auth.jwt() -> 'keepsake' ->> 'project_id')::uuid $$;
create function private.user_id() returns text language sql stable set search_path = '' as
  $$ select auth.jwt() -> 'keepsake' ->> 'user_id' $$;
revoke all on function private.project_id(), private.user_id() from public;
grant execute on function private.project_id(), private.user_id() to authenticated;

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null check (length(name) between 1 and 200),
  personal boolean not null default false,
  created_at timestamptz not null default now()
);

create table public.organization_members (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  account_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('OWNER', 'READER')),
  created_at timestamptz not null default now(),
  primary key (organization_id, account_id)
);
create index organization_members_account on public.organization_members (account_id);

create table public.projects (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  description text,
  settings jsonb not null default '{}',
  shared boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index projects_organization on public.projects (organization_id);
-- The one project that SIGNUP_MODE=shared lets people join.
create unique index projects_shared on public.projects (shared) where shared;

create table public.project_members (
  project_id uuid not null references public.projects (id) on delete cascade,
  account_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('OWNER', 'READER', 'USER')),
  created_at timestamptz not null default now(),
  primary key (project_id, account_id)
);
create index project_members_account on public.project_members (account_id);

create table public.api_keys (
  id uuid primary key default gen_random_uuid(),
  project_id uuid not null references public.projects (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  prefix text not null unique,
  secret_hash bytea not null,
  previous_hash bytea,
  previous_until timestamptz,
  scopes text[] not null,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  unique (project_id, id)
);

-- Every project an account may enter, with the strongest of its roles there.
create function private.projects_of(account uuid)
returns table (project_id uuid, organization_id uuid, role text, since timestamptz)
language sql stable security definer set search_path = '' as $$
  select p.id, p.organization_id, min(r.role), min(r.created_at)
  from (
    select pm.project_id, pm.role, pm.created_at from public.project_members pm where pm.account_id = account
    union all
    select pr.id, om.role, om.created_at
    from public.organization_members om join public.projects pr using (organization_id)
    where om.account_id = account
  ) r join public.projects p on p.id = r.project_id
  group by p.id
$$;

-- For a browser that comes with a person's own token: the projects in which that person's rows are theirs.
create function private.my_projects() returns setof uuid
language sql stable security definer set search_path = '' as
  $$ select project_id from private.projects_of((select auth.uid())) $$;

create function private.session_live(session uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select from auth.sessions s join auth.users u on u.id = s.user_id
    where s.id = session and (s.not_after is null or s.not_after > now())
      and (u.banned_until is null or u.banned_until <= now()) and u.deleted_at is null)
$$;

-- One round trip from a verified token to what its bearer may do. `wanted` null means the first project entered.
create function private.resolve_account(account uuid, session uuid, wanted uuid)
returns table (session_live boolean, project_id uuid, organization_id uuid, role text)
language sql stable security definer set search_path = '' as $$
  select private.session_live(session), p.project_id, p.organization_id, p.role
  from (values (1)) one left join lateral (
    select * from private.projects_of(account) m where wanted is null or m.project_id = wanted
    order by m.since, m.project_id limit 1) p on true
$$;

create function private.resolve_key(key_prefix text)
returns table (id uuid, project_id uuid, organization_id uuid, scopes text[], secret_hash bytea, previous_hash bytea)
language sql stable security definer set search_path = '' as $$
  select k.id, k.project_id, p.organization_id, k.scopes, k.secret_hash,
         case when k.previous_until > now() then k.previous_hash end
  from public.api_keys k join public.projects p on p.id = k.project_id
  where k.prefix = key_prefix and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;

revoke all on function private.projects_of(uuid), private.my_projects(), private.session_live(uuid),
  private.resolve_account(uuid, uuid, uuid), private.resolve_key(text) from public;
grant execute on function private.my_projects() to authenticated;
grant execute on function private.session_live(uuid), private.resolve_account(uuid, uuid, uuid),
  private.resolve_key(text) to keepsake_app, keepsake_system;
grant execute on function private.projects_of(uuid) to keepsake_system;

alter table public.organizations enable row level security;
alter table public.organization_members enable row level security;
alter table public.projects enable row level security;
alter table public.project_members enable row level security;
alter table public.api_keys enable row level security;
alter table public.organizations force row level security;
alter table public.organization_members force row level security;
alter table public.projects force row level security;
alter table public.project_members force row level security;
alter table public.api_keys force row level security;

-- People, organizations and projects are the system's business: a project's own transaction sees just itself.
grant select on public.projects to authenticated;
grant update (name, description, settings, updated_at) on public.projects to authenticated;
create policy backend_read on public.projects for select to authenticated using (id = (select private.project_id()));
create policy backend_write on public.projects for update to authenticated
  using (id = (select private.project_id()) and (select private.user_id()) is null)
  with check (id = (select private.project_id()));
create policy own on public.projects for select to authenticated
  using ((select private.project_id()) is null and id in (select private.my_projects()));

grant select, insert, update, delete on public.api_keys to authenticated;
create policy backend on public.api_keys to authenticated
  using (project_id = (select private.project_id()) and (select private.user_id()) is null)
  with check (project_id = (select private.project_id()) and (select private.user_id()) is null);

grant select, insert, update, delete on public.organizations, public.organization_members, public.projects,
  public.project_members to keepsake_system;
grant select (id, project_id, prefix, last_used_at), update (last_used_at) on public.api_keys to keepsake_system;
create policy system on public.organizations to keepsake_system using (true) with check (true);
create policy system on public.organization_members to keepsake_system using (true) with check (true);
create policy system on public.projects to keepsake_system using (true) with check (true);
create policy system on public.project_members to keepsake_system using (true) with check (true);
create policy system on public.api_keys to keepsake_system using (true) with check (true);

-- `force` binds the owner too, and the functions above run as the owner.
do $$
begin
  if not (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) then
    raise exception 'Apply migrations as a role that may bypass row-level security, as Supabase''s postgres role does';
  end if;
end $$;
