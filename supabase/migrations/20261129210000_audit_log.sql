-- Administrative actions, recorded by triggers in the transaction that changes the row. Ids and names of fields only.

create table public.audit_log (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- Null for what concerns the organization. A deleted project leaves its rows, which its organization's owners read.
  project_id uuid,
  -- account:<id>, key:<id> or operator. Null for what the server does by itself.
  actor text,
  action text not null,
  target_id uuid not null,
  details jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp()
);
create index audit_log_by_project on public.audit_log (project_id, created_at desc, id desc);
create index audit_log_by_organization on public.audit_log (organization_id, created_at desc, id desc);
create index audit_log_by_age on public.audit_log (created_at);
alter table public.audit_log enable row level security;
alter table public.audit_log force row level security;
revoke all on public.audit_log from public, anon, authenticated;

-- The account or key that sent the request, as the backend puts it into the claims of each transaction.
create function private.actor() returns text language sql stable set search_path = '' as
  $$ select substring(auth.jwt() ->> 'actor' from '^(?:account|key):[0-9a-f-]{36}$|^operator$') $$;
revoke all on function private.actor() from public;
grant execute on function private.actor() to authenticated, keepsake_system;

create function private.fields_that_differ(was jsonb, became jsonb) returns text[]
language sql immutable set search_path = '' as $$
  select coalesce(array_agg(key order by key), '{}') from jsonb_each(became) where value is distinct from was -> key
$$;

-- Names of changed fields, settings one by one, without those that the server keeps for itself.
create function private.audited_fields(was jsonb, became jsonb) returns text[]
language sql immutable set search_path = '' as $$
  select coalesce(array_agg(name order by name), '{}') from (
    select unnest(private.fields_that_differ(was - 'settings', became - 'settings')) as name
    union all
    select 'settings.' || unnest(private.fields_that_differ(was -> 'settings', became -> 'settings'))
    union all
    select 'settings.' || key from jsonb_object_keys(was -> 'settings') as key where not became -> 'settings' ? key) named
  where name not in ('updated_at', 'last_used_at', 'previous_hash', 'previous_until', 'rotated_at', 'ended_at', 'account_id')
$$;

-- The word after the dot of an action.
create function private.audited_verb(operation text, became jsonb, changed text[]) returns text
language sql immutable set search_path = '' as $$
  select case
    when operation = 'INSERT' then 'created'
    when operation = 'DELETE' then 'deleted'
    when 'revoked_at' = any (changed) then 'revoked'
    when 'secret_hash' = any (changed) or 'secret_version' = any (changed) then 'rotated'
    when 'status' = any (changed) then became ->> 'status'
    else 'changed' end
$$;

-- The argument is the noun of the action. A row that goes with its project or organization is not recorded again.
create function private.audit_row() returns trigger
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
revoke all on function private.fields_that_differ(jsonb, jsonb), private.audited_fields(jsonb, jsonb),
  private.audited_verb(text, jsonb, text[]), private.audit_row() from public;

create trigger organizations_audited after insert or update of name on public.organizations
  for each row execute function private.audit_row('organization');
create trigger organization_members_audited after insert or delete or update of role on public.organization_members
  for each row execute function private.audit_row('organization_member');
create trigger projects_audited after insert or delete or update of name, description, settings on public.projects
  for each row execute function private.audit_row('project');
create trigger project_members_audited after insert or delete or update of role on public.project_members
  for each row execute function private.audit_row('project_member');
create trigger invitations_audited after insert or update of status on public.invitations
  for each row execute function private.audit_row('invitation');
create trigger api_keys_audited after insert or delete or update of name, scopes, expires_at, revoked_at, secret_hash
  on public.api_keys for each row execute function private.audit_row('api_key');
create trigger webhooks_audited after insert or delete or update of name, url, event_types, is_active, secret_version
  on public.webhooks for each row execute function private.audit_row('webhook');
create trigger legal_holds_audited after insert or delete on public.legal_holds
  for each row execute function private.audit_row('legal_hold');

-- Owners of the organization also read what concerns the organization and its deleted projects.
create function private.owned_organization() returns uuid
language sql stable security definer set search_path = '' as $$
  select p.organization_id from public.projects p join public.organization_members m using (organization_id)
  where p.id = private.project_id() and m.account_id = auth.uid() and m.role = 'OWNER'
$$;
create function private.is_project_deleted(project uuid) returns boolean
language sql stable security definer set search_path = '' as
  $$ select not exists (select from public.projects p where p.id = project) $$;
revoke all on function private.owned_organization(), private.is_project_deleted(uuid) from public;
grant execute on function private.owned_organization(), private.is_project_deleted(uuid) to authenticated;

grant select on public.audit_log to authenticated;
create policy backend on public.audit_log for select to authenticated
  using ((select private.user_id()) is null and (project_id = (select private.project_id())
    or organization_id = (select private.owned_organization())
      and (project_id is null or private.is_project_deleted(project_id))));
grant select (created_at), delete on public.audit_log to keepsake_system;
create policy system on public.audit_log to keepsake_system using (true) with check (true);
