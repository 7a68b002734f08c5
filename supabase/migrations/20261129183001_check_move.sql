-- What the command `accounts check-move` counts. GoTrue neither finds nor signs in accounts of another form.
create function private.count_moved_accounts()
returns table (accounts bigint, with_password bigint, not_bcrypt bigint, without_identity bigint, invisible bigint)
language sql stable security definer set search_path = '' as $$
  select count(*), count(*) filter (where u.encrypted_password <> ''),
    count(*) filter (where u.encrypted_password <> '' and u.encrypted_password !~ '^\$2[aby]\$'),
    count(*) filter (where u.encrypted_password <> '' and not exists (select from auth.identities i where i.user_id = u.id)),
    count(*) filter (where u.instance_id is distinct from '00000000-0000-0000-0000-000000000000'
      or u.aud is distinct from 'authenticated' or u.confirmation_token is null or u.recovery_token is null
      or u.email_change_token_new is null or u.email_change is null)
  from auth.users u where u.deleted_at is null
$$;
revoke all on function private.count_moved_accounts() from public;
grant execute on function private.count_moved_accounts() to keepsake_system;
