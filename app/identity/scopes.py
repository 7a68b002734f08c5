"""The scopes of a caller, and the scopes of each role."""

from enum import StrEnum


class Scope(StrEnum):
    MEMORIES_READ = "memories:read"
    MEMORIES_WRITE = "memories:write"
    PROFILES_READ = "profiles:read"
    PROFILES_WRITE = "profiles:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    ADMIN = "admin"


EVERYTHING = frozenset(Scope)
READ_ONLY = frozenset(scope for scope in Scope if scope.endswith(":read"))
END_USER = frozenset(
    scope
    for scope in Scope
    if scope.startswith(("memories:", "profiles:", "sessions:")) or scope == Scope.PROJECTS_READ
)
GRANTABLE = (
    *(Scope.MEMORIES_READ, Scope.MEMORIES_WRITE, Scope.PROFILES_READ, Scope.PROFILES_WRITE),
    *(Scope.SESSIONS_READ, Scope.SESSIONS_WRITE),
)
"""What a person can let a client of OAuth do."""
# An application needs everything except managing keys and administering the instance.
DEFAULT_FOR_KEYS = EVERYTHING - {Scope.KEYS_READ, Scope.KEYS_WRITE, Scope.ADMIN}
SCOPES_OF_ROLE = {"OWNER": EVERYTHING, "READER": READ_ONLY, "USER": END_USER}
