-- A live session counts only for the account that it belongs to. Without this, a token that combines the subject of one
-- account with the session of another outlived the ban, the deletion and every sign-out of its subject.

create function private.session_live(session uuid, account uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (
    select from auth.sessions s join auth.users u on u.id = s.user_id
    where s.id = session and s.user_id = account and (s.not_after is null or s.not_after > now())
      and (u.banned_until is null or u.banned_until <= now()) and u.deleted_at is null)
$$;

create or replace function private.resolve_account(account uuid, session uuid, wanted uuid)
returns table (session_live boolean, project_id uuid, organization_id uuid, role text)
language sql stable security definer set search_path = '' as $$
  select private.session_live(session, account), p.project_id, p.organization_id, p.role
  from (values (1)) one left join lateral (
    select * from private.projects_of(account) m where wanted is null or m.project_id = wanted
    order by m.since, m.project_id limit 1) p on true
$$;

drop function private.session_live(uuid);
revoke all on function private.session_live(uuid, uuid) from public;
grant execute on function private.session_live(uuid, uuid) to keepsake_app, keepsake_system;
