-- Who wrote a version of a document: `account:<id>` or `key:<id>`, as in the audit log. Null where it is not recorded.
alter table public.memory_history add column actor text;
