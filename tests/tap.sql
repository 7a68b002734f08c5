-- As much of pgTAP as supabase/tests use, with its signatures and its answers, for a Postgres that does not have it.
-- With the real one the files say the same: `create extension pgtap`, then run them.

create schema tap;
grant usage on schema tap to public;
create table tap.answers (number integer generated always as identity, passed boolean not null);
create table tap.plans (planned integer not null);
grant select, insert on tap.answers, tap.plans to public;

create function tap.plan(integer) returns text language sql as
  $$ insert into tap.plans values ($1) returning '1..' || planned $$;

create function tap.ok(passed boolean, description text) returns text language plpgsql as $$
declare
  n integer;
begin
  insert into tap.answers (passed) values (coalesce($1, false)) returning number into n;
  return case when coalesce($1, false) then 'ok ' else 'not ok ' end || n || ' - ' || $2;
end $$;

create function tap.is_empty(query text, description text) returns text language plpgsql as $$
declare
  n integer := 0;
  one record;
begin
  for one in execute $1 loop n := n + 1; end loop;
  return tap.ok(n = 0, $2);
end $$;

create function tap.results_eq(query text, wanted text, description text) returns text language plpgsql as $$
declare
  have text[] := '{}';
  want text[] := '{}';
  one record;
begin
  for one in execute $1 loop have := have || one::text; end loop;
  for one in execute $2 loop want := want || one::text; end loop;
  return tap.ok(have = want, $3);
end $$;

create function tap.throws_ok(query text, wanted char(5), message text, description text) returns text
language plpgsql as $$
declare
  state text := '';
begin
  begin
    execute $1;
  exception when others then
    state := sqlstate;
  end;
  return tap.ok(state = $2, $4);
end $$;

create function tap.finish() returns setof text language plpgsql as $$
begin
  if (select planned from tap.plans) <> (select count(*) from tap.answers) then
    return next 'not ok: ran ' || (select count(*) from tap.answers) || ' of ' || (select planned from tap.plans);
  end if;
end $$;
