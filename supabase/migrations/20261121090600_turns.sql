-- What a retried turn needs to answer the same, and the tokens a project has used.

create table public.turns (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text not null,
  session_id uuid not null,
  idempotency_key text not null check (length(idempotency_key) between 1 and 255),
  fingerprint bytea not null,
  user_message_id uuid not null,
  message_id uuid not null,
  event_id uuid,
  recalled jsonb not null default '[]',
  created_at timestamptz not null default now(),
  unique (project_id, id),
  unique (project_id, user_id, idempotency_key),
  foreign key (project_id, user_id, session_id) references public.sessions (project_id, user_id, id) on delete cascade,
  foreign key (project_id, user_message_id) references public.messages (project_id, id) on delete cascade,
  foreign key (project_id, message_id) references public.messages (project_id, id) on delete cascade
);
create index turns_by_session on public.turns (project_id, user_id, session_id);
create index turns_by_message on public.turns (project_id, message_id);
create index turns_by_user_message on public.turns (project_id, user_message_id);

create table public.token_usage (
  project_id uuid not null references public.projects (id) on delete cascade,
  month date not null,
  prompt_tokens bigint not null default 0,
  completion_tokens bigint not null default 0,
  turns bigint not null default 0,
  primary key (project_id, month)
);

alter table public.turns enable row level security;
alter table public.token_usage enable row level security;
alter table public.turns force row level security;
alter table public.token_usage force row level security;
grant select, insert, update, delete on public.turns to authenticated;
grant select, insert, update on public.token_usage to authenticated;
create policy backend on public.turns to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy backend on public.token_usage to authenticated
  using (project_id = (select private.project_id())) with check (project_id = (select private.project_id()));
