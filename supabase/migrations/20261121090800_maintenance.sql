-- How far long work of the operator's has come, so that whoever started it can watch from another process.

create table public.maintenance (
  name text primary key,
  done bigint not null default 0,
  total bigint not null default 0,
  state text not null check (state in ('waiting', 'running', 'finished', 'failed')),
  updated_at timestamptz not null default now()
);
alter table public.maintenance enable row level security;
alter table public.maintenance force row level security;
grant select, insert, update, delete on public.maintenance to keepsake_system;
create policy system on public.maintenance to keepsake_system using (true) with check (true);
