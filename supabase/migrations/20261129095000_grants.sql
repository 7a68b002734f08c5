-- Supabase's default privileges may have given every table of earlier migrations to browsers, `truncate` included, which
-- row-level security does not cover. From here on, `anon` has nothing and `authenticated` has what is listed.
alter default privileges in schema public revoke all on tables from anon, authenticated;
alter default privileges in schema public revoke all on functions from anon, authenticated;
alter default privileges in schema public revoke all on sequences from anon, authenticated;

revoke all on public.api_keys, public.entities, public.events, public.feedback, public.maintenance, public.memories,
  public.memory_exports, public.memory_history, public.memory_vector_generations, public.memory_vectors, public.messages,
  public.organization_members, public.organizations, public.portrait_jobs, public.portraits, public.profiles,
  public.project_members, public.projects, public.sessions, public.token_usage, public.turns, public.vector_removals,
  public.webhook_deliveries, public.webhooks
  from anon, authenticated;
revoke all on sequence public.messages_position_seq, public.memory_history_position_seq from anon, authenticated;

grant select, insert, update, delete on public.api_keys, public.entities, public.events, public.feedback,
  public.memories, public.memory_exports, public.memory_history, public.memory_vectors, public.messages,
  public.portrait_jobs, public.portraits, public.profiles, public.sessions, public.turns, public.webhook_deliveries,
  public.webhooks
  to authenticated;
grant select, insert, update on public.token_usage to authenticated;
grant select on public.memory_vector_generations, public.projects to authenticated;
grant update (name, description, settings, updated_at) on public.projects to authenticated;
