"""One statement for each type of row. A row whose id exists stays as it is, so that an import can be repeated."""

from sqlalchemy import text

from app.memory.ledger import FIELDS, WRITTEN_FIELDS
from app.memory.origin import ENTITY_FIELDS

MEMORY_FIELDS = ("namespace", "profile_id", *ENTITY_FIELDS, *WRITTEN_FIELDS)
_TIMES = ("created_at", "updated_at")
_COLUMNS = ", ".join(name for name in MEMORY_FIELDS if name not in _TIMES)
_RECORD = ", ".join(f"{name} {FIELDS[name]}" for name in MEMORY_FIELDS)
# A user's first profile becomes the default one even if no line says so: exactly one always is.
INSERT_PROFILES_SQL = text("""
with given as (
  select g.*, row_number() over (partition by g.user_id order by g.is_default desc, g.place) = 1 as is_first
  from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, user_id text, name text, description text,
    persona text, is_default boolean, metadata jsonb, archived_at timestamptz, created_at timestamptz,
    updated_at timestamptz)
)
insert into profiles (id, project_id, user_id, name, description, persona, is_default, metadata, archived_at,
  created_at, updated_at)
select id, :project_id, user_id, name, description, persona,
  is_first and not exists (select from profiles p where p.project_id = :project_id and p.user_id = given.user_id
    and p.is_default), coalesce(metadata, '{}'), archived_at, created_at, updated_at
from given order by place on conflict do nothing returning id
""")
INSERT_SESSIONS_SQL = text("""
insert into sessions (id, project_id, user_id, profile_id, privacy_mode, title, summary, created_at, updated_at,
  last_message_at)
select id, :project_id, user_id, profile_id, privacy_mode, title, summary, created_at, updated_at, last_message_at
from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, user_id text, profile_id uuid,
  privacy_mode text, title text, summary text, created_at timestamptz, updated_at timestamptz,
  last_message_at timestamptz)
order by place on conflict (id) do nothing returning id
""")
INSERT_MESSAGES_SQL = text("""
with given as (
  select * from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, user_id text, session_id uuid,
    role text, content text, privacy_mode text, importance real, metadata jsonb, prompt_tokens integer,
    completion_tokens integer, created_at timestamptz, ends_summary boolean)
), added as (
  insert into messages (id, project_id, user_id, session_id, role, content, privacy_mode, importance, metadata,
    prompt_tokens, completion_tokens, created_at)
  select id, :project_id, user_id, session_id, role, content, privacy_mode, importance, metadata, prompt_tokens,
    completion_tokens, created_at
  from given order by place on conflict (id) do nothing returning id, session_id, position
), summarized as (
  update sessions s set summary_through = added.position from added join given on given.id = added.id
  where given.ends_summary and s.project_id = :project_id and s.id = added.session_id
)
select id from added
""")
INSERT_MEMORIES_SQL = text(f"""
insert into memories ({_COLUMNS}, project_id, hash, created_at, updated_at)
select {_COLUMNS}, :project_id, decode(digest, 'hex'), coalesce(created_at, now()),
  coalesce(updated_at, created_at, now())
from jsonb_to_recordset(cast(:rows as jsonb)) as g ({_RECORD}, digest text, place integer)
order by place on conflict (id) do nothing returning id, updated_at
""")  # noqa: S608  # only our own column names are put together
INSERT_HISTORY_SQL = text("""
insert into memory_history (id, project_id, memory_id, user_id, agent_id, app_id, run_id, kind, event, old_memory,
  new_memory, input, metadata, created_at)
select id, :project_id, memory_id, user_id, agent_id, app_id, run_id, kind, event, old_memory, new_memory,
  nullif(input, 'null'), nullif(metadata, 'null'), created_at
from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, memory_id uuid, user_id text, agent_id text,
  app_id text, run_id text, kind text, event text, old_memory text, new_memory text, input jsonb, metadata jsonb,
  created_at timestamptz)
order by place on conflict (id) do nothing returning id
""")
INSERT_FEEDBACK_SQL = text("""
insert into feedback (id, project_id, user_id, memory_id, feedback, reason, created_at, updated_at)
select id, :project_id, user_id, memory_id, feedback, reason, created_at, updated_at
from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, user_id text, memory_id uuid, feedback text,
  reason text, created_at timestamptz, updated_at timestamptz)
where not exists (select from feedback f where f.project_id = :project_id and f.memory_id = g.memory_id)
order by place on conflict (id) do nothing returning id
""")
INSERT_USER_PROFILES_SQL = text("""
insert into portraits (id, project_id, user_id, profile_id, content, memory_ids, note, generation_count, created_at,
  updated_at)
select id, :project_id, user_id, profile_id, content, memory_ids, note, generation_count, created_at, updated_at
from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, user_id text, profile_id uuid,
  content jsonb, memory_ids uuid[], note text, generation_count integer, created_at timestamptz, updated_at timestamptz)
order by place on conflict do nothing returning id
""")
INSERT_ENTITIES_SQL = text("""
insert into entities (id, project_id, user_id, type, entity_id, display_name, metadata, created_at, updated_at)
select id, :project_id, case when entity_type = 'user' then entity_id end, entity_type, entity_id, display_name,
  metadata, created_at, updated_at
from jsonb_to_recordset(cast(:rows as jsonb)) as g (place integer, id uuid, entity_type text, entity_id text,
  display_name text, metadata jsonb, created_at timestamptz, updated_at timestamptz)
order by place on conflict do nothing returning id
""")
SELECT_IDS_TO_RENAME_SQL = text("select * from private.ids_to_rename(:kind, :ids, :renamed)")
SELECT_PROFILES_OF_USERS_SQL = text("""
select id, user_id, name, is_default from profiles where project_id = :project_id and user_id = any(:users)
""")
SELECT_SESSIONS_OF_MESSAGES_SQL = text("""
select id, user_id from sessions where project_id = :project_id and id = any(:ids)
""")
SELECT_MEMORIES_OF_LINES_SQL = text("""
select id, user_id, kind from memories where project_id = :project_id and id = any(:ids)
""")
