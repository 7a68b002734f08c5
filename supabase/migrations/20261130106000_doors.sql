-- The APIs that a memory can come through.
alter table public.memories
  drop constraint memories_door_check,
  add constraint memories_door_check
    check (door in ('mem0', 'chat', 'messages', 'import', 'mcp', 'openai', 'anthropic', 'graphql'));
