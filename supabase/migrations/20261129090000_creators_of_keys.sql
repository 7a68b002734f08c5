-- A key acts with the rights that the account which created it has now. The reference is kept when the account is
-- deleted: without it, the key would look like one of the operator, which has no creator.
alter table public.api_keys drop constraint api_keys_created_by_fkey;

-- The result has new columns, so the function cannot be replaced. The columns that the previous release reads stay.
drop function private.resolve_key(text);
create function private.resolve_key(key_prefix text)
returns table (id uuid, project_id uuid, organization_id uuid, scopes text[], secret_hash bytea, previous_hash bytea,
  expires_at timestamptz, created_by uuid, creator_role text)
language sql stable security definer set search_path = '' as $$
  select k.id, k.project_id, p.organization_id, k.scopes, k.secret_hash,
         case when k.previous_until > now() then k.previous_hash end, k.expires_at, k.created_by, c.role
  from public.api_keys k join public.projects p on p.id = k.project_id
  left join lateral (
    select min(r.role) as role
    from (
      select pm.role from public.project_members pm where pm.project_id = p.id and pm.account_id = k.created_by
      union all
      select om.role from public.organization_members om
      where om.organization_id = p.organization_id and om.account_id = k.created_by
    ) r
    where exists (
      select from auth.users u
      where u.id = k.created_by and (u.banned_until is null or u.banned_until <= now()) and u.deleted_at is null)
  ) c on true
  where k.prefix = key_prefix and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;

-- The addresses of those who created keys of the current project and are still members of it, as the list of members
-- shows them. Only the server's own claims name a project, so the function returns nothing to other callers.
create function private.creators_of_keys() returns table (account_id uuid, email text)
language sql stable security definer set search_path = '' as $$
  select distinct k.created_by, nullif(u.email, '')::text
  from public.api_keys k join public.projects p on p.id = k.project_id join auth.users u on u.id = k.created_by
  where k.project_id = private.project_id() and private.user_id() is null
    and (exists (select from public.project_members pm where pm.project_id = p.id and pm.account_id = u.id)
      or exists (select from public.organization_members om
        where om.organization_id = p.organization_id and om.account_id = u.id))
$$;

revoke all on function private.resolve_key(text), private.creators_of_keys() from public;
grant execute on function private.resolve_key(text) to keepsake_app, keepsake_system;
grant execute on function private.creators_of_keys() to authenticated;
