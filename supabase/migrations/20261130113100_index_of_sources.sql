-- Counting the sources of one memory must not read those of the whole project.
drop index public.memory_history_repeats;
create index memory_history_repeats on public.memory_history (project_id, memory_id) where event = 'REPEAT';
create index memory_history_repeating_messages on public.memory_history ((metadata ->> 'message_id'))
  where event = 'REPEAT';
