-- Mostly nothing: no webhook, no expiry, and somebody is to be woken already. That is found out in one question instead
-- of three functions with settings and rights of their own.
create or replace function private.memories_added() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  place record;
begin
  for place in
    select f.project_id, array_agg(f.id) as ids,
      exists (select from public.projects p where p.id = f.project_id
        and coalesce(p.settings ->> 'expiration_date', p.settings ->> 'expiration_days') is not null) as expire,
      exists (select from public.webhooks w where w.project_id = f.project_id and w.is_active) as are_told,
      bool_or(f.categories is null) and not exists (select from jobs.procrastinate_jobs j
        where j.queueing_lock = 'categorize:' || f.project_id and j.status = 'todo') as wake
    from fresh f group by f.project_id
  loop
    if place.expire then
      perform private.apply_expiry(place.project_id, place.ids);
    end if;
    if place.are_told then
      perform private.tell_webhooks(place.project_id, 'memory_add', place.ids);
    end if;
    if place.wake then
      perform private.wake_categorizer(place.project_id, 1);
    end if;
  end loop;
  return null;
end $$;
