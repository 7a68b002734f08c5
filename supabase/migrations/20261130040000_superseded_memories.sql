-- A superseded memory stays in the ledger and in the index, and leaves everything that shows current memories.
-- `valid_from` and `valid_until` say when a memory was true, as far as a replacement told. `coexists_with` has the
-- memories whose replacement of this one was undone, so that nothing decides the same again.
alter table public.memories add column valid_from timestamptz, add column valid_until timestamptz,
  add column coexists_with uuid[];
update public.memories set valid_until = greatest(updated_at, created_at) where replaced_by is not null;
create index memories_replaced on public.memories (project_id, replaced_by) where replaced_by is not null;
alter table public.memory_history drop constraint memory_history_event_check;
alter table public.memory_history add constraint memory_history_event_check
  check (event in ('ADD', 'UPDATE', 'DELETE', 'ARCHIVE', 'RESTORE', 'SUPERSEDE', 'REPLACE'));

-- Files of earlier versions, and earlier versions that are still running, name the successor only.
create function private.date_replacement() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.replaced_by is null then
    new.valid_until := null;
  else
    new.valid_until := greatest(new.created_at, coalesce((select s.created_at from public.memories s
      where s.project_id = new.project_id and s.id = new.replaced_by), now()));
  end if;
  return new;
end $$;
create trigger memories_dated before insert or update of replaced_by, valid_until on public.memories
  for each row when ((new.replaced_by is null) <> (new.valid_until is null))
  execute function private.date_replacement();
alter table public.memories add constraint memories_validity
  check ((replaced_by is null) = (valid_until is null));

create function private.memory_superseded() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.portraits p
  where p.project_id = new.project_id and p.user_id = new.user_id and new.id = any (p.memory_ids);
  perform private.tell_webhooks(new.project_id, 'memory_supersede', array[new.id]);
  return null;
end $$;
create trigger memories_superseded after update of replaced_by on public.memories
  for each row when (old.replaced_by is null and new.replaced_by is not null)
  execute function private.memory_superseded();

-- Deleting a memory in the middle of a chain links its neighbours. The last one takes nothing back: what it replaced
-- keeps its id and stays superseded.
create function private.relink_replaced() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from gone g where g.replaced_by is not null) then
    return null;
  end if;
  with recursive heirs (id, project_id, namespace, heir) as (
    select g.id, g.project_id, g.namespace, g.replaced_by from gone g where g.replaced_by is not null
    union
    select h.id, h.project_id, h.namespace, g.replaced_by from heirs h
    join gone g on g.project_id = h.project_id and g.id = h.heir where g.replaced_by is not null
  )
  update public.memories m set replaced_by = h.heir
  from heirs h join public.memories s on s.project_id = h.project_id and s.id = h.heir and s.namespace = h.namespace
  where m.project_id = h.project_id and m.replaced_by = h.id and m.namespace = h.namespace and m.id <> h.heir;
  return null;
end $$;
create trigger memories_relinked after delete on public.memories
  referencing old table as gone for each statement execute function private.relink_replaced();

revoke all on function private.date_replacement(), private.memory_superseded(), private.relink_replaced() from public;
