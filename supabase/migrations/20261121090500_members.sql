-- From an e-mail address to an account and back, for lists of members. `keepsake_system` may not read auth.users.

-- Only a confirmed address counts: otherwise whoever signs up first with somebody's address would be added in their place.
create function private.account_of(address text) returns uuid
language sql stable security definer set search_path = '' as $$
  select u.id from auth.users u
  where u.email = lower(btrim(address)) and u.is_sso_user = false
    and u.email_confirmed_at is not null and u.deleted_at is null
$$;

create function private.email_of(account uuid) returns text
language sql stable security definer set search_path = '' as
  $$ select nullif(u.email, '')::text from auth.users u where u.id = account $$;

revoke all on function private.account_of(text), private.email_of(uuid) from public;
grant execute on function private.account_of(text), private.email_of(uuid) to keepsake_system;
