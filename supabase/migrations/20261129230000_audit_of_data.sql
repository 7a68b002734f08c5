-- A move to Supabase copies the audit log, too: the rows that it copies are no new actions.

-- The argument is the noun of the action. A row that goes with its project or organization is not recorded again.
create or replace function private.audit_row() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  noun text := tg_argv[0];
  was jsonb := case when tg_op = 'INSERT' then '{}' else to_jsonb(old) end;
  became jsonb := case when tg_op = 'DELETE' then '{}' else to_jsonb(new) end;
  affected jsonb := case when tg_op = 'DELETE' then was else became end;
  changed text[] := case when tg_op = 'UPDATE' then private.audited_fields(was, became) end;
  organization uuid := case when noun = 'organization' then affected ->> 'id' else affected ->> 'organization_id' end;
  project uuid := affected ->> 'project_id';
begin
  if current_setting('keepsake.copies_rows', true) = 'on' then
    return null;
  end if;
  if project is not null then
    select p.organization_id into organization from public.projects p where p.id = project;
  end if;
  if changed = '{}' or not exists (select from public.organizations o where o.id = organization) then
    return null;
  end if;
  insert into public.audit_log (organization_id, project_id, actor, action, target_id, details)
  values (organization, case when noun = 'project' and tg_op = 'UPDATE' then (affected ->> 'id')::uuid else project end,
    private.actor(), noun || '.' || private.audited_verb(tg_op, became, changed),
    case when noun like '%member' then affected ->> 'account_id' else coalesce(affected ->> 'id', project::text) end::uuid,
    jsonb_strip_nulls(jsonb_build_object('changed', changed, 'role', affected -> 'role', 'scopes', affected -> 'scopes',
      'previous_role', case when 'role' = any (changed) then was -> 'role' end,
      'previous_scopes', case when 'scopes' = any (changed) then was -> 'scopes' end)));
  return null;
end $$;

create trigger erasures_audited after insert on public.erasures
  for each row execute function private.audit_row('erasure');
create trigger data_exports_audited after insert on public.data_exports
  for each row execute function private.audit_row('export');
create trigger retention_runs_audited after insert on public.retention_runs
  for each row execute function private.audit_row('retention_run');
