-- A change of the password ends the other sessions of an account. What it granted to clients of OAuth acts as the same
-- person, and may have been granted by a thief of the old password.
create function private.end_grants_of_account() returns trigger
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.api_keys set revoked_at = now()
  where created_by = new.id and client_id is not null and revoked_at is null;
  return null;
end
$$;

create trigger grants_end_with_password after update of encrypted_password on auth.users
  for each row when (old.encrypted_password is distinct from new.encrypted_password)
  execute function private.end_grants_of_account();

revoke all on function private.end_grants_of_account() from public;

create index api_keys_by_creator on public.api_keys (created_by) where client_id is not null;
