-- For a stack on one's own machine: a place to look at, without accounts, keys or anybody's words. Safe to run again.

insert into public.organizations (id, name)
values ('00000000-0000-4000-8000-00000000000a', 'Demonstration')
on conflict (id) do nothing;

insert into public.projects (id, organization_id, name, description)
values (
  '00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-00000000000a',
  'Demonstration', 'Made by supabase/seed.sql'
)
on conflict (id) do nothing;
