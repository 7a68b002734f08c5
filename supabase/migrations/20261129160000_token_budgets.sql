-- Budgets of the operator: tokens of a month per account across its projects, and for the whole server. The usage of a
-- project that is deleted still counts, because deleting and creating projects would otherwise reset a budget.
create index token_usage_by_month on public.token_usage (month);

create table private.tokens_of_deleted_projects (
  account_id uuid references auth.users (id) on delete cascade,
  month date not null,
  tokens bigint not null,
  unique nulls not distinct (account_id, month)
);
comment on column private.tokens_of_deleted_projects.account_id is 'An owner of the projects; null for the whole server.';
alter table private.tokens_of_deleted_projects enable row level security;
alter table private.tokens_of_deleted_projects force row level security;
revoke all on private.tokens_of_deleted_projects from public, anon, authenticated;

create function private.tokens_this_month(account uuid) returns bigint
language sql stable security definer set search_path = '' as $$
  select coalesce(sum(counted.tokens), 0)::bigint from (
    select u.prompt_tokens + u.completion_tokens as tokens from public.token_usage u
    where u.month = date_trunc('month', now())::date and (account is null or u.project_id in (
      select p.id from public.organization_members m join public.projects p on p.organization_id = m.organization_id
      where m.account_id = account and m.role = 'OWNER'))
    union all
    select d.tokens from private.tokens_of_deleted_projects d
    where d.month = date_trunc('month', now())::date and d.account_id is not distinct from account) counted
$$;

-- The project of the transaction may go on while one of its owners has tokens left.
create function private.account_tokens() returns bigint
language sql stable security definer set search_path = '' as $$
  select min(private.tokens_this_month(m.account_id))
  from public.projects p join public.organization_members m on m.organization_id = p.organization_id
  where p.id = private.project_id() and m.role = 'OWNER'
$$;

create function private.server_tokens() returns bigint
language sql stable security definer set search_path = '' as $$ select private.tokens_this_month(null) $$;

-- Before an organization is deleted, because its members are deleted with it in any order.
create function private.keep_token_usage() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  with gone as (
    delete from public.token_usage u using public.projects p
    where p.id = u.project_id and u.month = date_trunc('month', now())::date
      and (case when tg_table_name = 'projects' then p.id else p.organization_id end) = old.id
    returning u.month, u.prompt_tokens + u.completion_tokens as tokens, p.organization_id
  )
  insert into private.tokens_of_deleted_projects as kept (account_id, month, tokens)
  select owner.account_id, gone.month, sum(gone.tokens)::bigint
  from gone cross join lateral (
    select m.account_id from public.organization_members m
    where m.organization_id = gone.organization_id and m.role = 'OWNER'
    union all select null) owner
  group by owner.account_id, gone.month
  on conflict (account_id, month) do update set tokens = kept.tokens + excluded.tokens;
  return old;
end $$;
create trigger organization_tokens_kept before delete on public.organizations
  for each row execute function private.keep_token_usage();
create trigger project_tokens_kept before delete on public.projects
  for each row execute function private.keep_token_usage();

revoke all on function private.tokens_this_month(uuid), private.account_tokens(), private.server_tokens() from public;
grant execute on function private.account_tokens(), private.server_tokens() to authenticated;
