-- What was erased, for whom it can be proven: counts per store, and no content. A receipt outlives its project, so
-- there is no reference to it. `subject` and `scope` exist while the erasure runs: `subject` may name a user.
create table public.erasures (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null,
  kind text not null check (kind in ('memory', 'session', 'profile', 'user', 'agent', 'app', 'run', 'account')),
  -- Keyed with the server's secret: whoever reads the table cannot try user ids.
  subject_hash bytea not null,
  -- The end user who asked for it, because end users see their own receipts only. Null for everybody else.
  requested_by text,
  state text not null default 'running' check (state in ('running', 'finished')),
  subject text,
  scope jsonb,
  found jsonb not null default '{}',
  removed jsonb not null default '{}',
  remaining jsonb not null default '{}',
  leased_until timestamptz,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  -- When it was looked again for what requests that ran at the same time had still written.
  settled_at timestamptz,
  vacuumed_at timestamptz,
  unique (project_id, id)
);
alter table public.erasures enable row level security;
alter table public.erasures force row level security;
revoke all on public.erasures from public, anon, authenticated;
grant select, insert, update on public.erasures to authenticated;
create policy backend on public.erasures to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or requested_by = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or requested_by = (select private.user_id())));

-- The jobs that would read what is erased. A running one finds nothing when it reads or writes, and ends by itself.
create function private.erase_jobs(namespaces text[], session_ids text[], event_ids text[], remove boolean)
returns integer
language plpgsql security definer set search_path = '' as $$
declare
  own text := private.project_id()::text;
  doomed bigint[] := array(
    select j.id from jobs.procrastinate_jobs j
    where j.args ->> 'project_id' = own and j.status <> 'doing' and (
      j.args ->> 'event_id' = any (event_ids) or j.args ->> 'session_id' = any (session_ids)
      or j.lock in (select 'memory:' || n from unnest(namespaces) n)
      or j.lock in (select 'user_profile:' || n from unnest(namespaces) n)));
begin
  if remove then
    perform set_config('search_path', 'jobs, pg_temp', true);
    delete from jobs.procrastinate_jobs j where j.id = any (doomed);
  end if;
  return cardinality(doomed);
end $$;
revoke all on function private.erase_jobs(text[], text[], text[], boolean) from public;
grant execute on function private.erase_jobs(text[], text[], text[], boolean) to authenticated;

-- Deleting a memory also removes what its event still says about it. Metadata, instructions and categories of a request
-- may repeat the memory, and a finished event does not need them.
create or replace function private.remember_removal() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.vector_removals (memory_id, project_id)
  select id, project_id from gone on conflict do nothing;
  update public.memory_history h set old_memory = null, new_memory = null, input = null, metadata = null
  from gone where h.project_id = gone.project_id and h.memory_id = gone.id;
  update public.events e set request = e.request - array['metadata', 'instructions', 'categories']
  from gone
  where e.project_id = gone.project_id and e.id = gone.event_id and e.status = 'SUCCEEDED'
    and e.request ?| array['metadata', 'instructions', 'categories'];
  return null;
end $$;

-- Whose windows in short-term memory are to be deleted with an account.
create function private.sessions_of_account(account uuid) returns table (project_id uuid, session_id uuid)
language sql stable security definer set search_path = '' as $$
  select s.project_id, s.id from public.sessions s
  where s.user_id = account::text and s.project_id in (select p.project_id from private.projects_of(account) p)
$$;

-- Whether a project of others must keep what it holds of the account.
create function private.account_is_held(account uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.legal_holds h join private.projects_of(account) p on p.project_id = h.project_id
    where h.user_id = account::text)
$$;
revoke all on function private.sessions_of_account(uuid), private.account_is_held(uuid) from public;
grant execute on function private.sessions_of_account(uuid), private.account_is_held(uuid) to keepsake_system;

-- A deleted account also takes along the names of its keys, which tell their users for good that they ended with it, and
-- the exports that name it.
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
  end loop;
  update public.erasures e set requested_by = null where e.requested_by = whose;
  delete from public.invitations i where i.invited_by = account or i.account_id = account
    or i.email = (select a.email from private.address_of(account) a where a.confirmed);
end $$;

-- Postgres keeps deleted rows in its files until a vacuum. Since version 17, the server can be allowed to run one.
do $$
begin
  if current_setting('server_version_num')::integer >= 170000 then
    execute 'grant maintain on public.memories, public.memory_history, public.events, public.messages, public.turns,'
      ' public.sessions, public.profiles, public.portraits, public.portrait_jobs, public.entities, public.feedback,'
      ' public.memory_exports, public.webhook_deliveries, public.memory_vectors, public.erasures, public.api_keys'
      ' to keepsake_app';
  end if;
end $$;
