-- A search asks which memories of its namespaces another process has not indexed yet.
create index memories_pending_by_namespace on public.memories (project_id, namespace) where state = 'pending';
drop index public.memories_pending;
