-- An event whose model is away waits. Its words are found meanwhile as memories, which its facts replace.
alter table public.events
  add column postponed integer not null default 0,
  add column unavailable_since timestamptz,
  add column interim_ids uuid[];
comment on column public.events.postponed is 'The runs of its job that do not count as attempts';
comment on column public.events.interim_ids is 'For each message, the memory that holds its words until its facts are extracted';

-- The namespaces with events whose words cannot be found yet. The messages of a chat turn are memories anyway.
create function private.namespaces_without_words(most integer) returns table (project_id uuid, namespace text)
language sql stable security definer set search_path = '' as $$
  select distinct waiting.project_id, waiting.namespace from (
    select e.project_id, e.namespace from public.events e
    where e.status in ('PENDING', 'RUNNING') and e.namespace is not null and e.event_type = 'ADD'
      and e.interim_ids is null and not e.request ? 'source_message_id'
    limit most) waiting
$$;
revoke all on function private.namespaces_without_words(integer) from public;
grant execute on function private.namespaces_without_words(integer) to keepsake_system;
