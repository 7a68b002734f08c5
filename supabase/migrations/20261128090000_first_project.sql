-- Since when an account may enter a project is never before there was one. Which of its projects is an account's first
-- was left to their ids, so a second project in one's own organization could become it.

create or replace function private.projects_of(account uuid)
returns table (project_id uuid, organization_id uuid, role text, since timestamptz)
language sql stable security definer set search_path = '' as $$
  select p.id, p.organization_id, min(r.role), greatest(min(r.created_at), p.created_at)
  from (
    select pm.project_id, pm.role, pm.created_at from public.project_members pm where pm.account_id = account
    union all
    select pr.id, om.role, om.created_at
    from public.organization_members om join public.projects pr using (organization_id)
    where om.account_id = account
  ) r join public.projects p on p.id = r.project_id
  group by p.id
$$;
