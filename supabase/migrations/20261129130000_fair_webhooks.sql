-- One job delivers what is due to all webhooks of a project, in order. Before, each delivery was a job of its own, so that
-- one project could queue thousands of jobs before those of the others.

alter table public.webhook_deliveries add column position bigint not null generated always as identity;
create index webhook_deliveries_pending on public.webhook_deliveries (webhook_id, position) where status = 'PENDING';
grant select (project_id, webhook_id, status, next_attempt_at) on public.webhook_deliveries to keepsake_system;
grant select (id, is_active) on public.webhooks to keepsake_system;
create policy system on public.webhooks for select to keepsake_system using (true);

-- Queues the job of a project, unless one waits that starts in time. A waiting job that starts later starts earlier: it
-- would hold the lock until then. The job takes the advisory lock exclusively, if it can, before it reads what is due. So it
-- knows whether a transaction that relies on it has not yet committed its deliveries.
create function private.wake_webhooks(project uuid, seconds double precision) returns void
language plpgsql security definer set search_path = '' as $$
declare
  one text := 'webhooks:' || project;
  due timestamptz := clock_timestamp() + make_interval(secs => seconds);
begin
  perform pg_advisory_xact_lock_shared(hashtextextended(one, 0));
  -- The triggers of the queue name its tables without their schema. This ends with the function.
  perform set_config('search_path', 'jobs, pg_temp', true);
  update jobs.procrastinate_jobs j set scheduled_at = due where j.id in (
    select later.id from jobs.procrastinate_jobs later
    where later.lock = one and later.status = 'todo' and later.scheduled_at > due for update skip locked);
  if found then
    -- The queue itself notifies workers of new jobs only.
    perform pg_notify('procrastinate_queue_v1#webhooks', '{"type": "job_inserted", "job_id": 0}');
  elsif not exists (select from jobs.procrastinate_jobs j where j.lock = one and j.status = 'todo') then
    perform jobs.procrastinate_defer_jobs_v1(array[row('webhooks', 'webhooks.deliver', 0, one, null,
      jsonb_build_object('project_id', project), case when seconds > 0 then due end
    )::jobs.procrastinate_job_to_defer_v1]);
  end if;
end $$;

create or replace function private.tell_webhooks(project uuid, happened text, ids uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.webhook_deliveries (project_id, webhook_id, event_type, memory_id)
  select w.project_id, w.id, happened, told.id
  from public.webhooks w cross join unnest(ids) told (id)
  where w.project_id = project and w.is_active and happened = any (w.event_types);
  if found then
    perform private.wake_webhooks(project, 0);
  end if;
end $$;

revoke all on function private.wake_webhooks(uuid, double precision) from public;
grant execute on function private.wake_webhooks(uuid, double precision) to authenticated, keepsake_system;

-- Deliveries that wait for jobs of the previous version.
do $$
declare
  waiting uuid;
begin
  if to_regclass('jobs.procrastinate_jobs') is null then
    return;
  end if;
  for waiting in select distinct d.project_id from public.webhook_deliveries d where d.status = 'PENDING' loop
    perform private.wake_webhooks(waiting, 0);
  end loop;
end $$;
