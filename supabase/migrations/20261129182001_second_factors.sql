-- Whether an account must confirm a second factor before it administers anything. Read on a few routes only. GoTrue owns
-- the table, with Supabase too, so the function runs with the rights of the role that migrates, which may read it.
create function private.has_second_factor(account uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select 1 from auth.mfa_factors f where f.user_id = account and f.status = 'verified')
$$;
revoke all on function private.has_second_factor(uuid) from public, anon, authenticated;
grant execute on function private.has_second_factor(uuid) to keepsake_app, keepsake_system;

-- The newest time step of a factor whose code was accepted, so that the built-in identity provider accepts each code once.
-- With Supabase, the table stays empty.
create table private.totp_steps (
  factor_id uuid primary key,
  account_id uuid not null references auth.users (id) on delete cascade,
  last_step bigint not null
);
create index totp_steps_account_idx on private.totp_steps (account_id);
alter table private.totp_steps enable row level security;
alter table private.totp_steps force row level security;
revoke all on private.totp_steps from public, anon, authenticated;
grant select, insert, update, delete on private.totp_steps to keepsake_system;
create policy "the identity provider remembers accepted codes" on private.totp_steps to keepsake_system
  using (true) with check (true);
