-- An account that is deleted takes along what is its own in projects that stay: an application's, or the shared one.

create function private.forget_account(account uuid) returns void
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
end $$;
revoke all on function private.forget_account(uuid) from public;
grant execute on function private.forget_account(uuid) to keepsake_system;
