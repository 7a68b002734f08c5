-- Lets our own identity provider, which works as `keepsake_system`, keep accounts. Applied after supabase/migrations
-- have made that role, on a Postgres that is not Supabase only, at every start.

grant usage on schema auth to keepsake_system;
grant select, insert, update, delete on all tables in schema auth to keepsake_system;
grant usage on all sequences in schema auth to keepsake_system;

do $$
declare
  name text;
begin
  foreach name in array array[
    'users', 'identities', 'sessions', 'refresh_tokens', 'mfa_amr_claims', 'mfa_factors', 'mfa_challenges',
    'one_time_tokens', 'flow_state', 'audit_log_entries'
  ]
  loop
    if not exists (
      select 1 from pg_policies
      where schemaname = 'auth' and tablename = name and policyname = 'the identity provider keeps accounts'
    ) then
      execute format(
        'create policy %I on auth.%I to keepsake_system using (true) with check (true)',
        'the identity provider keeps accounts', name
      );
    end if;
  end loop;
end
$$;
