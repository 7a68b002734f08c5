-- The browser's door: a person who asks Supabase directly, with their own token, sees what is theirs and changes nothing.

begin;
select plan(17);

-- Two people with accounts, each the end user of a project of their own, with a profile, a session, a message and a memory.
insert into auth.users (instance_id, id, aud, role, email, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'authenticated', email, '{}', '{}', now(), now()
from (values ('aaaaaaaa-0000-4000-8000-000000000001'::uuid, 'anna@example.com'),
             ('bbbbbbbb-0000-4000-8000-000000000001'::uuid, 'ben@example.com')) as people (id, email);
insert into public.organizations (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000002', 'Anna'), ('bbbbbbbb-0000-4000-8000-000000000002', 'Ben');
insert into public.projects (id, organization_id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000002', 'Anna'),
  ('bbbbbbbb-0000-4000-8000-000000000003', 'bbbbbbbb-0000-4000-8000-000000000002', 'Ben');
insert into public.project_members (project_id, account_id, role) values
  ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001', 'USER'),
  ('bbbbbbbb-0000-4000-8000-000000000003', 'bbbbbbbb-0000-4000-8000-000000000001', 'USER');
insert into public.profiles (id, project_id, user_id, name, is_default) values
  ('aaaaaaaa-0000-4000-8000-000000000004', 'aaaaaaaa-0000-4000-8000-000000000003',
   'aaaaaaaa-0000-4000-8000-000000000001', 'Home', true),
  ('bbbbbbbb-0000-4000-8000-000000000004', 'bbbbbbbb-0000-4000-8000-000000000003',
   'bbbbbbbb-0000-4000-8000-000000000001', 'Home', true);
insert into public.sessions (id, project_id, user_id, profile_id) values
  ('aaaaaaaa-0000-4000-8000-000000000005', 'aaaaaaaa-0000-4000-8000-000000000003',
   'aaaaaaaa-0000-4000-8000-000000000001', 'aaaaaaaa-0000-4000-8000-000000000004'),
  ('bbbbbbbb-0000-4000-8000-000000000005', 'bbbbbbbb-0000-4000-8000-000000000003',
   'bbbbbbbb-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000004');
insert into public.messages (project_id, user_id, session_id, role, content) values
  ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001',
   'aaaaaaaa-0000-4000-8000-000000000005', 'user', 'from Anna'),
  ('bbbbbbbb-0000-4000-8000-000000000003', 'bbbbbbbb-0000-4000-8000-000000000001',
   'bbbbbbbb-0000-4000-8000-000000000005', 'user', 'from Ben');
insert into public.memories (project_id, user_id, profile_id, namespace, kind, content, hash) values
  ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001',
   'aaaaaaaa-0000-4000-8000-000000000004', 'a', 'fact', 'about Anna', 'a'),
  ('bbbbbbbb-0000-4000-8000-000000000003', 'bbbbbbbb-0000-4000-8000-000000000001',
   'bbbbbbbb-0000-4000-8000-000000000004', 'b', 'fact', 'about Ben', 'b');
insert into public.api_keys (project_id, name, prefix, secret_hash, scopes, created_by) values
  ('aaaaaaaa-0000-4000-8000-000000000003', 'K', 'ks_anna', '', '{}', 'aaaaaaaa-0000-4000-8000-000000000001'),
  ('bbbbbbbb-0000-4000-8000-000000000003', 'K', 'ks_ben', '', '{}', 'bbbbbbbb-0000-4000-8000-000000000001');

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated", "sub": "aaaaaaaa-0000-4000-8000-000000000001"}';

select results_eq('select user_id from public.profiles', $$values ('aaaaaaaa-0000-4000-8000-000000000001')$$,
  'her own profiles and no others');
select results_eq('select user_id from public.sessions', $$values ('aaaaaaaa-0000-4000-8000-000000000001')$$,
  'her own sessions and no others');
select results_eq('select content from public.messages', $$values ('from Anna')$$, 'her own messages and no others');
select results_eq('select content from public.memories', $$values ('about Anna')$$, 'her own memories and no others');
select results_eq('select name from public.projects', $$values ('Anna')$$, 'her own projects and no others');
select is_empty('select 1 from public.api_keys', 'no keys');
select is_empty('select 1 from private.creators_of_keys()', 'nor who created them');
select is_empty('select 1 from public.memory_history', 'no history');

select is_empty($$update public.profiles set name = 'Mine' returning 1$$, 'a profile cannot be changed this way');
select is_empty('delete from public.memories returning 1', 'a memory cannot be deleted this way');
select throws_ok($$
  insert into public.profiles (project_id, user_id, name)
  values ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001', 'New')
$$, '42501', null, 'a profile cannot be made this way');
select throws_ok($$
  insert into public.memories (project_id, user_id, profile_id, namespace, kind, content, hash)
  values ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001',
    'aaaaaaaa-0000-4000-8000-000000000004', 'a', 'fact', 'planted', 'c')
$$, '42501', null, 'a memory cannot be planted this way');
select throws_ok('select 1 from public.organizations', '42501', null, 'organizations are the system''s');
select throws_ok('select 1 from public.invitations', '42501', null, 'and invitations');
select throws_ok($$select * from private.address_of('bbbbbbbb-0000-4000-8000-000000000001')$$, '42501', null,
  'nobody''s address can be looked up');

-- Somebody who says which project they are in is believed only if the server says so: claims are signed.
set local request.jwt.claims = '{"role": "authenticated", "sub": "cccccccc-0000-4000-8000-000000000001"}';
select is_empty('select 1 from public.memories', 'a stranger sees no memories');

set local role anon;
select throws_ok('select 1 from public.memories', '42501', null, 'without signing in there is no door at all');

select * from finish();
rollback;
