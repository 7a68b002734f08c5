-- A summary is a memory that stands for episodes, which name it as their successor. An episode that was restored by a
-- request names it in `coexists_with`. See docs/decisions/0056-summaries-of-episodes.md.
alter table public.memories drop constraint memories_kind_check;
alter table public.memories add constraint memories_kind_check check (kind in ('fact', 'episode', 'message', 'summary'));

-- A summary contains words of all its episodes. When one of them leaves or changes, the summary is deleted and the others
-- are current again. `deleted` has summaries that left in the same statement. A summary that is archived or superseded
-- itself brings nothing back.
create function private.undo_summaries(project uuid, owner text, links uuid[], deleted uuid[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  found_ids uuid[];
  current_ids uuid[];
  restored uuid[];
begin
  select array_agg(s.id), array_agg(s.id) filter (where s.archived_at is null and s.replaced_by is null)
  into found_ids, current_ids
  from (select m.id, m.archived_at, m.replaced_by from public.memories m
    where m.project_id = project and m.id = any (links) and m.kind = 'summary' and m.user_id is not distinct from owner
    order by m.id for update) s;
  with back as (
    update public.memories m set replaced_by = null, valid_until = null
    from (select e.id, e.replaced_by as summary from public.memories e
      where e.project_id = project and e.replaced_by is not null and e.replaced_by = any (current_ids || deleted)
        and e.kind = 'episode' and e.user_id is not distinct from owner order by e.id for update) was
    where m.project_id = project and m.id = was.id
    returning m.id, m.user_id, m.agent_id, m.app_id, m.run_id, m.kind, was.summary
  ), told as (
    insert into public.memory_history (project_id, memory_id, user_id, agent_id, app_id, run_id, kind, event, metadata)
    select project, id, user_id, agent_id, app_id, run_id, kind, 'RESTORE', jsonb_build_object('replaced_by', summary)
    from back
  )
  select array_agg(back.id) into restored from back;
  if restored is not null then
    perform private.tell_webhooks(project, 'memory_restore', restored);
  end if;
  if found_ids is not null then
    insert into public.memory_history (project_id, memory_id, user_id, agent_id, app_id, run_id, kind, event)
    select m.project_id, m.id, m.user_id, m.agent_id, m.app_id, m.run_id, m.kind, 'DELETE' from public.memories m
    where m.project_id = project and m.id = any (found_ids);
    delete from public.memories m where m.project_id = project and m.id = any (found_ids);
  end if;
end $$;

-- The name sorts before `memories_relinked`: what a deleted episode had replaced itself must not get the summary as its
-- successor, and come back with the other episodes.
create function private.folded_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  place record;
begin
  for place in
    select g.project_id, g.user_id, array_agg(distinct link) as links
    from gone g cross join lateral unnest(array_append(g.coexists_with, g.replaced_by)) link
    where g.kind = 'episode' and link is not null group by g.project_id, g.user_id
  loop
    perform private.undo_summaries(place.project_id, place.user_id, place.links,
      array(select g.id from gone g where g.project_id = place.project_id and g.id = any (place.links)
        and g.kind = 'summary' and g.archived_at is null and g.replaced_by is null
        and g.user_id is not distinct from place.user_id));
  end loop;
  return null;
end $$;
create trigger memories_folded after delete on public.memories
  referencing old table as gone for each statement execute function private.folded_deleted();

-- Moving a summary moves its episodes in the same statement, and nothing is undone. An episode that was restored and then
-- moves alone leaves no words behind.
create function private.folded_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.undo_summaries(new.project_id, new.user_id, array(select s.id from public.memories s
    where s.project_id = new.project_id and s.id = any (array_append(new.coexists_with, new.replaced_by))
      and s.kind = 'summary' and (old.namespace = new.namespace or s.namespace = old.namespace)), '{}');
  return null;
end $$;
create trigger memories_folded_changed after update of content, expires_on, namespace on public.memories
  for each row when (new.kind = 'episode' and (new.replaced_by is not null or new.coexists_with is not null)
    and (old.content is distinct from new.content or old.expires_on is distinct from new.expires_on
      or old.namespace is distinct from new.namespace)
    and coalesce(current_setting('keepsake.resealing', true), '') <> 'on')
  execute function private.folded_changed();

revoke all on function private.undo_summaries(uuid, text, uuid[], uuid[]), private.folded_deleted(),
  private.folded_changed() from public;
