"""Who may do what, for every route of the house. A new route gets its line here, or tests/test_access.py fails.

`scoped`   needs a scope: API keys have theirs, people those of their role
`person`   for whoever signed in, and for no API key
`place`    organizations and projects: people by their role in the place named, API keys by a scope or not at all
`public`   for everybody, with the status that the request below gets

`{profile_id}` and the like, in the path, the query or the body, become project A's objects: to project B they are 404.
`{user_id}` is project A's end user, `{fresh}` a new word for each request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.identity.scopes import SCOPES_OF_ROLE, Scope

OK = 200
"""Any 2xx."""
OBJECTS = re.compile(r"\{(project|organization|account|key|profile|session|message|memory|event)_id\}")


@dataclass(frozen=True)
class Rule:
    public: int | None = None
    keys: Scope | None = None
    """What an API key needs; None: nothing helps."""
    owner: int = OK
    reader: int = OK
    user: int = OK
    stranger: int | None = None
    """The owner of project B, and its key; by default 404 where the request names an object of project A."""
    body: object = None
    query: str = ""
    spends: bool = False
    """Whoever may do this can do it once: the next one to ask gets a fresh world."""
    also: frozenset[int] = field(default_factory=frozenset)
    """What whoever may do this can get besides a success."""


def public(status: int, **more: object) -> Rule:
    return Rule(public=status, **more)  # type: ignore[arg-type]  # the fields of Rule


def scoped(scope: Scope, **more: object) -> Rule:
    roles = {role.lower(): OK if scope in scopes else 403 for role, scopes in SCOPES_OF_ROLE.items()}
    return Rule(keys=scope, **{**roles, **more})  # type: ignore[arg-type]  # the fields of Rule


def person(**more: object) -> Rule:
    return Rule(**more)  # type: ignore[arg-type]  # the fields of Rule


def place(keys: Scope | None = None, **more: object) -> Rule:
    return Rule(keys=keys, **more)  # type: ignore[arg-type]  # the fields of Rule


NAMED = {"name": "Name {fresh}"}
PUBLIC = {
    ("GET", "/"): public(200),
    ("GET", "/v1/health"): public(200),
    ("GET", "/v1/ready"): public(200),
    ("GET", "/metrics"): public(200),
}
# An empty body is refused only after a credential would have been: 422 shows that none is asked for.
ACCOUNTS = {
    ("POST", "/v1/auth/signup"): public(422, body={}),
    ("POST", "/v1/auth/login"): public(422, body={}),
    ("POST", "/v1/auth/refresh"): public(422, body={}),
    ("POST", "/v1/auth/recover"): public(422, body={}),
    ("POST", "/v1/auth/resend"): public(422, body={}),
    ("POST", "/v1/auth/verify"): public(422, body={}),
    ("POST", "/v1/auth/logout"): person(body={}, spends=True),
    ("GET", "/v1/auth/me"): person(),
    ("PATCH", "/v1/auth/me"): person(body={"metadata": {"colour": "blue"}}),
    # Refused to the only owner of an organization that has other members.
    ("DELETE", "/v1/auth/me"): person(spends=True, owner=409),
}
MEMBER = {"email": "{newcomer}", "role": "READER"}
TO_READER = {"role": "READER"}
PROJECTS = {
    ("GET", "/v1/projects"): scoped(Scope.PROJECTS_READ),
    ("POST", "/v1/projects"): place(reader=403, user=404, body={**NAMED, "organization_id": "{organization_id}"}),
    ("GET", "/v1/projects/{project_id}"): scoped(Scope.PROJECTS_READ),
    ("PATCH", "/v1/projects/{project_id}"): place(Scope.PROJECTS_WRITE, reader=403, user=403, body=NAMED),
    ("DELETE", "/v1/projects/{project_id}"): place(reader=403, user=403, spends=True),
    ("GET", "/v1/projects/{project_id}/members"): place(Scope.PROJECTS_READ, user=403),
    ("POST", "/v1/projects/{project_id}/members"): place(Scope.ADMIN, reader=403, user=403, body=MEMBER, spends=True),
    ("PATCH", "/v1/projects/{project_id}/members/{account_id}"): place(
        Scope.ADMIN, reader=403, user=403, body=TO_READER
    ),
    ("DELETE", "/v1/projects/{project_id}/members/{account_id}"): place(Scope.ADMIN, reader=403, user=403, spends=True),
    ("GET", "/v1/organizations"): person(),
    ("POST", "/v1/organizations"): place(user=403, body=NAMED),
    ("GET", "/v1/organizations/{organization_id}"): place(user=404),
    ("PATCH", "/v1/organizations/{organization_id}"): place(reader=403, user=404, body=NAMED),
    ("DELETE", "/v1/organizations/{organization_id}"): place(reader=403, user=404, spends=True),
    ("GET", "/v1/organizations/{organization_id}/members"): place(user=404),
    ("POST", "/v1/organizations/{organization_id}/members"): place(reader=403, user=404, body=MEMBER, spends=True),
    ("PATCH", "/v1/organizations/{organization_id}/members/{account_id}"): place(reader=403, user=404, body=TO_READER),
    ("DELETE", "/v1/organizations/{organization_id}/members/{account_id}"): place(reader=403, user=404, spends=True),
}
API_KEYS = {
    ("GET", "/v1/api-keys"): scoped(Scope.KEYS_READ),
    ("POST", "/v1/api-keys"): scoped(Scope.KEYS_WRITE, body=NAMED),
    ("GET", "/v1/api-keys/{key_id}"): scoped(Scope.KEYS_READ),
    ("PATCH", "/v1/api-keys/{key_id}"): scoped(Scope.KEYS_WRITE, body=NAMED),
    ("DELETE", "/v1/api-keys/{key_id}"): scoped(Scope.KEYS_WRITE, spends=True),
    ("POST", "/v1/api-keys/{key_id}/rotate"): scoped(Scope.KEYS_WRITE),
}
PROFILES = {
    ("GET", "/v1/profiles"): scoped(Scope.PROFILES_READ, query="?user_id={user_id}"),
    ("POST", "/v1/profiles"): scoped(Scope.PROFILES_WRITE, body={**NAMED, "user_id": "{user_id}"}),
    ("GET", "/v1/profiles/{profile_id}"): scoped(Scope.PROFILES_READ),
    ("PATCH", "/v1/profiles/{profile_id}"): scoped(Scope.PROFILES_WRITE, body=NAMED),
    # A user's last profile stays.
    ("DELETE", "/v1/profiles/{profile_id}"): scoped(Scope.PROFILES_WRITE, also=frozenset({409}), spends=True),
    ("POST", "/v1/profiles/{profile_id}/default"): scoped(Scope.PROFILES_WRITE),
}
SESSIONS = {
    ("GET", "/v1/sessions"): scoped(Scope.SESSIONS_READ, query="?user_id={user_id}"),
    ("POST", "/v1/sessions"): scoped(Scope.SESSIONS_WRITE, body={"user_id": "{user_id}", "profile_id": "{profile_id}"}),
    ("GET", "/v1/sessions/{session_id}"): scoped(Scope.SESSIONS_READ),
    ("PATCH", "/v1/sessions/{session_id}"): scoped(Scope.SESSIONS_WRITE, body={"title": "{fresh}"}),
    ("DELETE", "/v1/sessions/{session_id}"): scoped(Scope.SESSIONS_WRITE, spends=True),
    ("GET", "/v1/sessions/{session_id}/messages"): scoped(Scope.SESSIONS_READ),
    ("GET", "/v1/sessions/{session_id}/summary"): scoped(Scope.SESSIONS_READ),
    ("POST", "/v1/sessions/{session_id}/reset"): scoped(Scope.SESSIONS_WRITE),
}
TABLE: Mapping[tuple[str, str], Rule] = {**PUBLIC, **ACCOUNTS, **PROJECTS, **API_KEYS, **PROFILES, **SESSIONS}
