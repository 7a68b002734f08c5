"""mem0's filter grammar: read once into a small tree, then translated to SQL. Pure; everything a caller wrote is bound.

What docs/decisions leaves to this file: `NOT` with a list means none of it; logical keys and their neighbours all
hold; a missing value and a null are the same, so that `ne` and `nin` match both; a bare list means `in`; a bare date
is that whole day in UTC. More than the platform takes: `nin`, `eq` on dates, bare `keywords`, null for "has none".
"""




ENTITIES = ("user_id", "agent_id", "app_id", "run_id")
LOGICAL = ("AND", "OR", "NOT")
ALIASES = {
    "session_id": "run_id",
    "userId": "user_id",
    "agentId": "agent_id",
    "appId": "app_id",
    "runId": "run_id",
    "sessionId": "run_id",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "expirationDate": "expiration_date",
    "memoryIds": "memory_ids",
    "keywordsSearch": "keywords_search",
}
