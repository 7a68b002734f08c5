-- A function with a setting of its own is called anew for each statement and table, which was a fifth of what Postgres
-- did for an added memory; without one it becomes part of the policy. Its body is read here, once: no search_path of
-- whoever asks can change what the names in it mean.
create or replace function private.project_id() returns uuid language sql stable
  return (auth.jwt() -> 'keepsake' ->> 'project_id')::uuid;
create or replace function private.user_id() returns text language sql stable
  return auth.jwt() -> 'keepsake' ->> 'user_id';
