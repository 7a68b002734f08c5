-- Conversations and what was said in them. Nothing said in incognito is ever written here.

create table public.sessions (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text not null,
  profile_id uuid not null,
  privacy_mode text not null default 'normal' check (privacy_mode in ('normal', 'pause_memories', 'incognito')),
  title text,
  summary text,
  summary_through bigint,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_message_at timestamptz,
  -- Who is answering right now, and until when that is believed: two turns at once must not interleave.
  turn_id uuid,
  turn_until timestamptz,
  unique (project_id, id),
  unique (project_id, user_id, id),
  foreign key (project_id, user_id, profile_id) references public.profiles (project_id, user_id, id) on delete cascade
);
create index sessions_by_user on public.sessions (project_id, user_id, created_at desc, id desc);
create index sessions_by_profile on public.sessions (project_id, user_id, profile_id);
create index sessions_user on public.sessions (user_id);

create table public.messages (
  id uuid not null default gen_random_uuid() primary key,
  project_id uuid not null references public.projects (id) on delete cascade,
  user_id text not null,
  session_id uuid not null,
  position bigint not null generated always as identity,
  role text not null check (role in ('system', 'user', 'assistant')),
  content text not null,
  privacy_mode text not null default 'normal' check (privacy_mode in ('normal', 'pause_memories')),
  importance real check (importance between 0 and 1),
  metadata jsonb not null default '{}',
  prompt_tokens integer,
  completion_tokens integer,
  created_at timestamptz not null default now(),
  unique (project_id, id),
  foreign key (project_id, user_id, session_id) references public.sessions (project_id, user_id, id) on delete cascade
);
create index messages_by_session on public.messages (project_id, user_id, session_id, position desc);
create index messages_user on public.messages (user_id);

alter table public.sessions enable row level security;
alter table public.messages enable row level security;
alter table public.sessions force row level security;
alter table public.messages force row level security;
grant select, insert, update, delete on public.sessions, public.messages to authenticated;
create policy backend on public.sessions to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy own on public.sessions for select to authenticated
  using ((select private.project_id()) is null and user_id = (select auth.uid())::text
    and project_id in (select private.my_projects()));
create policy backend on public.messages to authenticated
  using (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())))
  with check (project_id = (select private.project_id())
    and ((select private.user_id()) is null or user_id = (select private.user_id())));
create policy own on public.messages for select to authenticated
  using ((select private.project_id()) is null and user_id = (select auth.uid())::text
    and project_id in (select private.my_projects()));
