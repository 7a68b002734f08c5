-- The summaries of these memories. An episode names its summary as its successor, or in `coexists_with` after a request
-- restored it. Postgres makes this a part of the statement that calls it: row-level security is that of the caller. It
-- joins, because `any` would compare each row with each of thousands of ids.
create function private.summaries_of(project uuid, ids uuid[]) returns table (id uuid, namespace text)
language sql stable as $$
  select distinct s.id, s.namespace
  from unnest(ids) as given (id)
  join public.memories e on e.project_id = project and e.id = given.id and e.kind = 'episode'
  cross join lateral unnest(array_append(e.coexists_with, e.replaced_by)) as link
  join public.memories s on s.project_id = project and s.id = link and s.kind = 'summary'
    and s.user_id is not distinct from e.user_id
$$;

-- As before, with the function above.
create or replace function private.folded_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform private.undo_summaries(new.project_id, new.user_id, array(
    select s.id from private.summaries_of(new.project_id, array[new.id]) s
    where old.namespace = new.namespace or s.namespace = old.namespace), '{}');
  return null;
end $$;

revoke all on function private.summaries_of(uuid, uuid[]), private.folded_changed() from public;
grant execute on function private.summaries_of(uuid, uuid[]) to authenticated;
