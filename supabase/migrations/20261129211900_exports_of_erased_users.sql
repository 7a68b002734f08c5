-- An account that is deleted takes along the exports that hold its data. Otherwise as before.
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
    delete from public.memory_exports t where t.project_id = place and (t.user_id = whose
      or jsonb_path_exists(t.request, '$.** ? (@ == $name)', jsonb_build_object('name', whose)));
    delete from public.portrait_jobs t where t.project_id = place and t.user_id = whose;
    update public.api_keys t set name = 'Erased' where t.project_id = place and t.created_by = account;
    -- An export of the whole project holds the rows of the account, too.
    delete from public.data_exports t where t.project_id = place and (t.user_id = whose or t.user_id is null);
  end loop;
  update public.erasures e set requested_by = null where e.requested_by = whose;
  delete from public.invitations i where i.invited_by = account or i.account_id = account
    or i.email = (select a.email from private.address_of(account) a where a.confirmed);
end $$;

do $$
begin
  if current_setting('server_version_num')::integer >= 170000 then
    execute 'grant maintain on public.data_exports, public.data_export_chunks to keepsake_app';
  end if;
end $$;
