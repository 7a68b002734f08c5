-- The former text looked for the heirs of every deleted memory, which takes the square of the length of a chain. Only
-- memories that stay need one.
create or replace function private.relink_replaced() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from gone g where g.replaced_by is not null) then
    return null;
  end if;
  with recursive heirs (id, project_id, namespace, heir) as (
    select m.id, m.project_id, m.namespace, g.replaced_by from gone g
    join public.memories m on m.project_id = g.project_id and m.replaced_by = g.id and m.namespace = g.namespace
    where g.replaced_by is not null
    union
    select h.id, h.project_id, h.namespace, g.replaced_by from heirs h
    join gone g on g.project_id = h.project_id and g.id = h.heir where g.replaced_by is not null
  )
  update public.memories m set replaced_by = h.heir
  from heirs h join public.memories s on s.project_id = h.project_id and s.id = h.heir and s.namespace = h.namespace
  where m.project_id = h.project_id and m.id = h.id and m.id <> h.heir;
  return null;
end $$;
revoke all on function private.relink_replaced() from public;
