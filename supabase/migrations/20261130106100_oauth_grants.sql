-- What a person has granted to a client of OAuth is an API key that acts as this person: it is listed and revoked like
-- the others, and falls with the account, the membership and a ban. Its secret is not used. The client has a refresh
-- token instead, which is replaced with each use.
alter table public.api_keys
  add column client_id text,
  add column redirect_uri text,
  add column code_hash bytea,
  add column code_challenge text,
  add column code_until timestamptz,
  add column code_used_at timestamptz,
  add column refresh_hash bytea,
  add column previous_refresh_hash bytea;

create function private.find_grant(grant_prefix text)
returns table (id uuid, client_id text, redirect_uri text, code_hash bytea, code_challenge text, code_until timestamptz,
  code_used_at timestamptz, refresh_hash bytea, previous_refresh_hash bytea, scopes text[])
language sql stable security definer set search_path = '' as $$
  select k.id, k.client_id, k.redirect_uri, k.code_hash, k.code_challenge, k.code_until, k.code_used_at,
    k.refresh_hash, k.previous_refresh_hash, k.scopes
  from public.api_keys k
  where k.prefix = grant_prefix and k.client_id is not null and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > now())
$$;

-- Of two requests with the same code or refresh token, one succeeds.
create function private.renew_grant(grant_prefix text, presented bytea, fresh bytea, by_code boolean)
returns table (renewed uuid)
language sql volatile security definer set search_path = '' as $$
  update public.api_keys k
  set previous_refresh_hash = k.refresh_hash, refresh_hash = fresh,
    code_used_at = case when by_code then now() else k.code_used_at end
  where k.prefix = grant_prefix and k.client_id is not null and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > now())
    and case when by_code then k.code_hash = presented and k.code_used_at is null and k.code_until > now()
      else k.refresh_hash = presented end
  returning k.id
$$;

create function private.end_grant(grant_prefix text) returns table (ended uuid)
language sql volatile security definer set search_path = '' as $$
  update public.api_keys k set revoked_at = now()
  where k.prefix = grant_prefix and k.client_id is not null and k.revoked_at is null
  returning k.id
$$;

revoke all on function private.find_grant(text), private.renew_grant(text, bytea, bytea, boolean),
  private.end_grant(text) from public;
grant execute on function private.find_grant(text), private.renew_grant(text, bytea, bytea, boolean),
  private.end_grant(text) to keepsake_app, keepsake_system;
