-- People are invited to an organization or a project, and become members when they accept.

create table public.invitations (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid references public.organizations (id) on delete cascade,
  project_id uuid references public.projects (id) on delete cascade,
  email text not null check (length(email) between 3 and 320),
  role text not null check (role in ('OWNER', 'READER', 'USER')),
  token_hash bytea not null,
  status text not null default 'pending' check (status in ('pending', 'accepted', 'declined', 'withdrawn', 'expired')),
  -- Null for a key of the operator. An invitation ends with the account that sent it.
  invited_by uuid references auth.users (id) on delete cascade,
  -- The account that accepted or declined.
  account_id uuid references auth.users (id) on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  check (num_nonnulls(organization_id, project_id) = 1),
  check (project_id is not null or role <> 'USER'),
  check ((status = 'pending') = (ended_at is null))
);
create unique index invitations_pending_organization on public.invitations (organization_id, email)
  where status = 'pending' and organization_id is not null;
create unique index invitations_pending_project on public.invitations (project_id, email)
  where status = 'pending' and project_id is not null;
create index invitations_organization on public.invitations (organization_id, created_at);
create index invitations_project on public.invitations (project_id, created_at);
create index invitations_email on public.invitations (email);
create index invitations_invited_by on public.invitations (invited_by);
create index invitations_account on public.invitations (account_id);

alter table public.invitations enable row level security;
alter table public.invitations force row level security;
revoke all on public.invitations from public, anon, authenticated;
grant select, insert, update, delete on public.invitations to keepsake_system;
create policy system on public.invitations to keepsake_system using (true) with check (true);

-- How an account became a member. Only what it created or accepted can become the project that it works in by default.
alter table public.organization_members add column joined text not null default 'added'
  check (joined in ('created', 'accepted', 'added'));
alter table public.project_members add column joined text not null default 'added'
  check (joined in ('created', 'accepted', 'added'));

-- An organization and the membership of its creator are one transaction, so their times are equal.
update public.organization_members m set joined = 'created' from public.organizations o
  where o.id = m.organization_id and m.role = 'OWNER' and m.created_at = o.created_at;
-- With SIGNUP_MODE=shared, people join the shared project by signing up.
update public.project_members m set joined = 'accepted' from public.projects p
  where p.id = m.project_id and p.shared;
-- An account that never had an organization of its own keeps the project that it works in.
update public.organization_members m set joined = 'accepted'
  where m.joined = 'added' and not exists (
    select from public.organization_members o where o.account_id = m.account_id and o.joined = 'created');
update public.project_members m set joined = 'accepted'
  where m.joined = 'added' and not exists (
    select from public.organization_members o where o.account_id = m.account_id and o.joined = 'created');

-- `preference` orders the projects that may be the default of the account: its own before accepted ones. It is null for
-- projects into which somebody else put the account. The result has a new column, so the function cannot be replaced.
drop function private.projects_of(uuid);
create function private.projects_of(account uuid)
returns table (project_id uuid, organization_id uuid, role text, since timestamptz, preference integer)
language sql stable security definer set search_path = '' as $$
  select p.id, p.organization_id, min(r.role), greatest(min(r.created_at), p.created_at),
         min(case r.joined when 'created' then 1 when 'accepted' then 2 end)
  from (
    select pm.project_id, pm.role, pm.created_at, pm.joined from public.project_members pm where pm.account_id = account
    union all
    select pr.id, om.role, om.created_at, om.joined
    from public.organization_members om join public.projects pr using (organization_id)
    where om.account_id = account
  ) r join public.projects p on p.id = r.project_id
  group by p.id
$$;
revoke all on function private.projects_of(uuid) from public;
grant execute on function private.projects_of(uuid) to keepsake_system;

create or replace function private.resolve_account(account uuid, session uuid, wanted uuid)
returns table (session_live boolean, project_id uuid, organization_id uuid, role text)
language sql stable security definer set search_path = '' as $$
  select private.session_live(session, account), p.project_id, p.organization_id, p.role
  from (values (1)) one left join lateral (
    select * from private.projects_of(account) m
    where m.project_id = wanted or (wanted is null and m.preference is not null)
    order by m.preference, m.since, m.project_id limit 1) p on true
$$;

-- The address of an account now, and whether it is confirmed. An access token may name an address that was changed
-- since. The address of an SSO account is a claim of its provider, and several accounts may have it.
create function private.address_of(account uuid) returns table (email text, confirmed boolean)
language sql stable security definer set search_path = '' as $$
  select u.email::text, u.email_confirmed_at is not null and not u.is_sso_user
  from auth.users u
  where u.id = account and u.email <> '' and not u.is_anonymous and u.deleted_at is null
$$;

-- Whether the account that sent an invitation still has the right to. A removed owner must not return by one.
create function private.may_invite(sender uuid, organization uuid, project uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select from auth.users u
    where u.id = sender and (u.banned_until is null or u.banned_until <= now()) and u.deleted_at is null)
  and (exists (
    select from public.organization_members m
    where m.organization_id = organization and m.account_id = sender and m.role = 'OWNER')
  or exists (
    select from private.projects_of(sender) p where p.project_id = project and p.role = 'OWNER'))
$$;

-- Whether a member of the organization or the project itself has the address.
create function private.has_member(address text, organization uuid, project uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select from public.organization_members m join auth.users u on u.id = m.account_id
    where m.organization_id = organization and u.email = address)
  or exists (
    select from public.project_members m join auth.users u on u.id = m.account_id
    where m.project_id = project and u.email = address)
$$;

revoke all on function private.address_of(uuid), private.may_invite(uuid, uuid, uuid),
  private.has_member(text, uuid, uuid) from public;
grant execute on function private.address_of(uuid), private.may_invite(uuid, uuid, uuid),
  private.has_member(text, uuid, uuid) to keepsake_system;

-- Members are no longer looked up by address among all accounts, because the response revealed who has one.
drop function private.account_of(text);

-- A deleted account takes along the invitations to its address. Those that it sent, accepted or declined reference it.
create or replace function private.forget_account(account uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  place uuid;
  whose text := account::text;
begin
  for place in select p.project_id from private.projects_of(account) p order by 1 loop
    -- Sessions, messages, memories and portraits hang on the profiles; vectors are removed as after any deletion.
    delete from public.profiles t where t.project_id = place and t.user_id = whose;
    delete from public.events t where t.project_id = place and t.user_id = whose;
    delete from public.memory_history t where t.project_id = place and t.user_id = whose;
    delete from public.entities t where t.project_id = place and t.user_id = whose;
    delete from public.feedback t where t.project_id = place and t.user_id = whose;
    delete from public.memory_exports t where t.project_id = place and t.user_id = whose;
    delete from public.portrait_jobs t where t.project_id = place and t.user_id = whose;
  end loop;
  delete from public.invitations i where i.invited_by = account or i.account_id = account
    or i.email = (select a.email from private.address_of(account) a where a.confirmed);
end $$;
