-- Accounts may be deleted at the identity provider, for example in Supabase's dashboard, where this server is not asked.
-- A membership must outlive its account: it is what says where the data of the account is, until that is erased.
alter table public.organization_members drop constraint organization_members_account_id_fkey;
alter table public.project_members drop constraint project_members_account_id_fkey;

-- When the server noticed. What belongs to them is erased some days later, so that a mistake can be undone.
create table private.deleted_accounts (
  account_id uuid primary key,
  found_at timestamptz not null default now()
);
create table private.ownerless_organizations (
  organization_id uuid primary key references public.organizations (id) on delete cascade,
  found_at timestamptz not null default now()
);
alter table private.deleted_accounts enable row level security;
alter table private.deleted_accounts force row level security;
alter table private.ownerless_organizations enable row level security;
alter table private.ownerless_organizations force row level security;
revoke all on private.deleted_accounts, private.ownerless_organizations from public, anon, authenticated;
grant select, delete on private.deleted_accounts to keepsake_system;
grant select on private.ownerless_organizations to keepsake_system;
create policy "the job reads and ends entries" on private.deleted_accounts to keepsake_system using (true) with check (true);
create policy "the job reads entries" on private.ownerless_organizations to keepsake_system using (true);

-- Before, these rows went with the account. A token that is still valid at PostgREST must not read what they open.
create or replace function private.my_projects() returns setof uuid
language sql stable security definer set search_path = '' as $$
  select p.project_id from private.projects_of((select auth.uid())) p
  where exists (
    select from auth.users u
    where u.id = (select auth.uid()) and (u.banned_until is null or u.banned_until <= now()) and u.deleted_at is null)
$$;

create function private.account_exists(account uuid) returns boolean
language sql stable security definer set search_path = '' as
  $$ select exists (select from auth.users u where u.id = account and u.deleted_at is null) $$;

create function private.has_owner(organization uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select from public.organization_members m join auth.users u on u.id = m.account_id
    where m.organization_id = organization and m.role = 'OWNER' and u.deleted_at is null)
$$;

-- An organization that the command line created has no members and needs none.
create function private.find_deleted_accounts() returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into private.deleted_accounts (account_id, found_at)
  select m.account_id, coalesce(u.deleted_at, now())
  from (select account_id from public.organization_members union select account_id from public.project_members) m
  left join auth.users u on u.id = m.account_id
  where u.id is null or u.deleted_at is not null
  on conflict do nothing;
  delete from private.deleted_accounts d where private.account_exists(d.account_id);

  insert into private.ownerless_organizations (organization_id)
  select o.id from public.organizations o
  where (o.personal or exists (select from public.organization_members m where m.organization_id = o.id))
    and not private.has_owner(o.id)
  on conflict do nothing;
  delete from private.ownerless_organizations w where private.has_owner(w.organization_id);
end $$;

-- A legal hold keeps everything of its project.
create function private.accounts_to_erase(kept interval) returns setof uuid
language plpgsql stable security definer set search_path = '' as $$
begin
  return query select d.account_id from private.deleted_accounts d
  where d.found_at < now() - kept and not exists (
    select from private.projects_of(d.account_id) p join public.legal_holds h on h.project_id = p.project_id
    where h.user_id = d.account_id::text or p.role = 'OWNER')
  order by d.found_at;
end $$;

-- Personal organizations whose owner was deleted before memberships outlived their accounts.
create function private.organizations_to_erase(kept interval) returns setof uuid
language plpgsql stable security definer set search_path = '' as $$
begin
  return query select o.id from private.ownerless_organizations w join public.organizations o on o.id = w.organization_id
  where w.found_at < now() - kept and o.personal
    and not exists (select from public.organization_members m where m.organization_id = o.id)
    and not exists (
      select from public.projects p join public.legal_holds h on h.project_id = p.id where p.organization_id = o.id);
end $$;

revoke all on function private.account_exists(uuid), private.has_owner(uuid), private.find_deleted_accounts(),
  private.accounts_to_erase(interval), private.organizations_to_erase(interval) from public;
grant execute on function private.find_deleted_accounts(), private.accounts_to_erase(interval),
  private.organizations_to_erase(interval) to keepsake_system;
