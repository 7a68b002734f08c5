-- What is over is forgotten after a while, so many at once; never what still waits or runs. Each project is read from its
-- oldest event on, by the index there is. How the last portrait of somebody went says what is seen of it and when there
-- is the next, and a job of portraits is counted from its events: these stay as long as they are needed.
create function private.forget_events(days integer, most integer) returns integer
language sql security definer set search_path = '' as $$
  with old as (
    select found.id from public.projects p cross join lateral (
      select e.id from public.events e
      where e.project_id = p.id and e.created_at < now() - make_interval(days => days)
        and e.completed_at < now() - make_interval(days => days) and e.status in ('SUCCEEDED', 'FAILED')
        and (e.event_type <> 'PROFILE' or exists (
          select from public.events later
          where later.project_id = e.project_id and later.user_id = e.user_id and later.event_type = 'PROFILE'
            and later.namespace = e.namespace and (later.created_at, later.id) > (e.created_at, e.id)
        ) and not exists (
          select from public.portrait_jobs j where j.project_id = e.project_id and e.id = any (j.event_ids)
        ))
      order by e.created_at, e.id limit most
    ) found limit most
  ), gone as (
    delete from public.events e using old where e.id = old.id returning 1
  )
  select count(*)::integer from gone
$$;
revoke all on function private.forget_events(integer, integer) from public;
grant execute on function private.forget_events(integer, integer) to keepsake_system;
