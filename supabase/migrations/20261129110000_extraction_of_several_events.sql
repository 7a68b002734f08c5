-- The events of a namespace that wait for extraction, in order: a job reads several of them together.
create index events_waiting on public.events (namespace, created_at, id) where status in ('PENDING', 'RUNNING');

-- The jobs of events that were finished together with another one have nothing left to do. The triggers of the queue
-- expect its schema in the search path.
create function private.drop_extraction_jobs(place text, ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  finished text[] := array(
    select e.id::text from public.events e
    where e.id = any (ids) and e.project_id = private.project_id() and e.namespace = place and e.status = 'SUCCEEDED');
begin
  perform set_config('search_path', 'jobs, pg_temp', true);
  delete from jobs.procrastinate_jobs j
  where j.lock = 'memory:' || place and j.status = 'todo' and j.task_name = 'memory.extract'
    and j.args ->> 'event_id' = any (finished);
end $$;
revoke all on function private.drop_extraction_jobs(text, uuid[]) from public;
grant execute on function private.drop_extraction_jobs(text, uuid[]) to authenticated;
