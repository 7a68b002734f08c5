-- The servers' door: the role they log in as can do nothing, until a transaction says for which project it acts.

begin;
select plan(13);

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

select ok(not has_table_privilege('keepsake_app', 'public.memories', 'select'), 'the bare login reads no memories');
select ok(not has_table_privilege('keepsake_app', 'public.projects', 'select'), 'nor projects');
select ok(not has_table_privilege('keepsake_app', 'auth.users', 'select'), 'nor accounts');
select ok(not pg_has_role('keepsake_app', 'service_role', 'member'), 'and may not become a role that sees everything');

set local role authenticated;
set local request.jwt.claims = '{"keepsake": {"project_id": "aaaaaaaa-0000-4000-8000-000000000003"}}';
select results_eq('select content from public.memories', $$values ('about Anna')$$, 'one project at a time');
select throws_ok($$
  insert into public.profiles (project_id, user_id, name) values ('bbbbbbbb-0000-4000-8000-000000000003', 'ben', 'New')
$$, '42501', null, 'and no writing into another');
select throws_ok($$
  insert into public.sessions (project_id, user_id, profile_id)
  values ('aaaaaaaa-0000-4000-8000-000000000003', 'aaaaaaaa-0000-4000-8000-000000000001',
    'bbbbbbbb-0000-4000-8000-000000000004')
$$, '23503', null, 'nor pointing into it');

set local request.jwt.claims = '{"keepsake": {"project_id": "aaaaaaaa-0000-4000-8000-000000000003", "user_id": "somebody"}}';
select is_empty('select 1 from public.memories', 'pinned to a user, only that user''s');
select is_empty('select 1 from public.api_keys', 'and never keys');
select throws_ok('select 1 from public.invitations', '42501', null, 'invitations are the system''s');

set local request.jwt.claims = '';
select is_empty('select 1 from public.memories', 'claims that are empty, as after a commit, show nothing');

reset role;
select ok(not has_column_privilege('keepsake_system', 'public.memories', 'content', 'select'),
  'the system does not read what is remembered');
select ok(not has_table_privilege('keepsake_system', 'public.messages', 'select'), 'nor what was said');

select * from finish();
rollback;
