"""Which caller may use which route. A new route needs a line here, or tests/test_access.py fails.

`scoped`   needs a scope: API keys have theirs, people those of their role
`person`   for signed-in accounts, not for API keys
`place`    organizations and projects: accounts by their role there, API keys by a scope or not at all
`public`   without a credential, with the status that the request below gets

`{profile_id}` and the like, in the path, the query or the body, become project A's objects: to project B they are 404.
`{user_id}` is project A's end user, `{fresh}` a new word for each request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.identity.scopes import SCOPES_OF_ROLE, Scope

OK = 200
"""Any 2xx."""
OBJECTS = re.compile(
    r"\{(project|organization|account|key|profile|session|message|memory|event|webhook|delivery|invitation|erasure)_id\}"
)


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
    anyone: bool = False
    fills: tuple[tuple[str, str], ...] = ()
    """What other placeholders of the path stand for."""


def public(status: int, **more: object) -> Rule:
    return Rule(public=status, **more)  # type: ignore[arg-type]  # the fields of Rule


def scoped(scope: Scope, **more: object) -> Rule:
    roles = {role.lower(): OK if scope in scopes else 403 for role, scopes in SCOPES_OF_ROLE.items()}
    return Rule(keys=scope, **{**roles, **more})  # type: ignore[arg-type]  # the fields of Rule


def person(**more: object) -> Rule:
    return Rule(**more)  # type: ignore[arg-type]  # the fields of Rule


def place(keys: Scope | None = None, **more: object) -> Rule:
    return Rule(keys=keys, **more)  # type: ignore[arg-type]  # the fields of Rule


def anyone(**more: object) -> Rule:
    """Any valid credential, whatever its scopes."""
    return Rule(anyone=True, **more)  # type: ignore[arg-type]  # the fields of Rule


NO_FACTOR = "00000000-0000-4000-8000-000000000000"
UNKNOWN_FACTOR: dict[str, Any] = {"owner": 404, "reader": 404, "user": 404, "stranger": 404}
NAMED = {"name": "Name {fresh}"}
PUBLIC = {
    ("GET", "/"): public(200),
    ("GET", "/v1/health"): public(200),
    ("GET", "/v1/ready"): public(200),
    ("GET", "/metrics"): public(200),
}
# An empty body is refused after the credential is checked, so 422 shows that no credential is required.
ACCOUNTS = {
    ("POST", "/v1/auth/signup"): public(422, body={}),
    ("POST", "/v1/auth/login"): public(422, body={}),
    ("POST", "/v1/auth/refresh"): public(422, body={}),
    ("POST", "/v1/auth/recover"): public(422, body={}),
    ("POST", "/v1/auth/resend"): public(422, body={}),
    ("POST", "/v1/auth/verify"): public(422, body={}),
    ("POST", "/v1/auth/logout"): person(body={}, spends=True),
    ("GET", "/v1/auth/mfa/factors"): person(),
    ("POST", "/v1/auth/mfa/factors"): person(body={"name": "{fresh}"}),
    ("DELETE", "/v1/auth/mfa/factors/{factor_id}"): person(**UNKNOWN_FACTOR, fills=(("factor_id", NO_FACTOR),)),
    ("POST", "/v1/auth/mfa/challenge"): person(**UNKNOWN_FACTOR, body={"factor_id": NO_FACTOR}),
    ("POST", "/v1/auth/mfa/verify"): person(**UNKNOWN_FACTOR, body={"factor_id": NO_FACTOR, "code": "000000"}),
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
    ("GET", "/v1/invitations"): place(Scope.ADMIN, reader=403, user=403, query="?project_id={project_id}"),
    ("POST", "/v1/invitations"): place(
        Scope.ADMIN, reader=403, user=403, body={**MEMBER, "project_id": "{project_id}"}, spends=True
    ),
    ("DELETE", "/v1/invitations/{invitation_id}"): place(Scope.ADMIN, reader=403, user=403, spends=True),
    ("GET", "/v1/invitations/received"): person(),
    # The world has one invitation for the end user, and none for the others.
    ("POST", "/v1/invitations/{invitation_id}/accept"): person(
        owner=404,
        reader=404,
        stranger=404,
        body={"token": "token"},
        fills=(("invitation_id", "{received_id}"),),
        spends=True,
    ),
    ("POST", "/v1/invitations/{invitation_id}/decline"): person(
        owner=404,
        reader=404,
        stranger=404,
        body={"token": "token"},
        fills=(("invitation_id", "{received_id}"),),
        spends=True,
    ),
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
    ("POST", "/v1/api-keys"): scoped(Scope.KEYS_WRITE, body={**NAMED, "scopes": ["keys:write"]}),
    ("GET", "/v1/api-keys/{key_id}"): scoped(Scope.KEYS_READ),
    ("PATCH", "/v1/api-keys/{key_id}"): scoped(Scope.KEYS_WRITE, body=NAMED),
    ("DELETE", "/v1/api-keys/{key_id}"): scoped(Scope.KEYS_WRITE, spends=True),
    ("POST", "/v1/api-keys/{key_id}/rotate"): scoped(Scope.KEYS_WRITE),
    ("GET", "/v1/grants"): person(),
    ("DELETE", "/v1/grants/{grant_id}"): person(**UNKNOWN_FACTOR, fills=(("grant_id", NO_FACTOR),)),
}
ADMINISTRATION = {
    ("GET", "/v1/admin/health"): scoped(Scope.PROJECTS_READ),
    ("GET", "/v1/admin/usage"): scoped(Scope.ADMIN),
    ("GET", "/v1/admin/audit"): scoped(Scope.ADMIN),
}
PROFILES = {
    ("GET", "/v1/profiles"): scoped(Scope.PROFILES_READ, query="?user_id={user_id}"),
    ("POST", "/v1/profiles"): scoped(Scope.PROFILES_WRITE, body={**NAMED, "user_id": "{user_id}"}),
    ("GET", "/v1/profiles/{profile_id}"): scoped(Scope.PROFILES_READ),
    ("PATCH", "/v1/profiles/{profile_id}"): scoped(Scope.PROFILES_WRITE, body=NAMED),
    # A user's last profile stays.
    ("DELETE", "/v1/profiles/{profile_id}"): scoped(Scope.PROFILES_WRITE, also=frozenset({409}), spends=True),
    ("POST", "/v1/profiles/{profile_id}/default"): scoped(Scope.PROFILES_WRITE),
    # The world has one profile, and none is copied into itself.
    ("POST", "/v1/profiles/{profile_id}/copy"): scoped(
        Scope.PROFILES_WRITE, body={"to_profile_id": "{profile_id}"}, also=frozenset({400})
    ),
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
CHAT = {
    ("POST", "/v1/sessions/{session_id}/messages"): scoped(Scope.SESSIONS_WRITE, body={"content": "Hello"}),
    ("POST", "/v1/chat"): scoped(Scope.SESSIONS_WRITE, body={"message": "Hello", "session_id": "{session_id}"}),
}
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "user": "{user_id}"}
NOT_THERE: dict[str, Any] = {"owner": 404, "user": 404, "stranger": 404, "also": frozenset({404})}
NO_RESPONSE = {**NOT_THERE, "fills": (("response_id", NO_FACTOR),)}
CONVERSATIONS, TALK = "/v1/conversations", "/v1/conversations/{conversation_id}"
IN_SESSION: dict[str, Any] = {"stranger": 404, "fills": (("conversation_id", "{session_id}"),)}
NO_ITEM = {**NOT_THERE, "fills": (*IN_SESSION["fills"], ("item_id", NO_FACTOR))}
OPENAI = {
    ("POST", "/v1/chat/completions"): scoped(
        Scope.SESSIONS_WRITE, body={**ASKED, "metadata": {"session_id": "{session_id}"}}
    ),
    ("GET", "/v1/models"): anyone(),
    ("GET", "/v1/models/{model}"): anyone(fills=(("model", "offline"),)),
    ("POST", "/v1/embeddings"): scoped(Scope.MEMORIES_READ, body={"input": "Hello"}),
    ("POST", "/v1/responses"): scoped(
        Scope.SESSIONS_WRITE, body={"input": "Hello", "user": "{user_id}", "conversation": "{session_id}"}
    ),
    ("GET", "/v1/responses/{response_id}"): scoped(Scope.SESSIONS_READ, **NO_RESPONSE),
    ("GET", "/v1/responses/{response_id}/input_items"): scoped(Scope.SESSIONS_READ, **NO_RESPONSE),
    ("DELETE", "/v1/responses/{response_id}"): scoped(Scope.SESSIONS_WRITE, **NO_RESPONSE),
    ("POST", CONVERSATIONS): scoped(Scope.SESSIONS_WRITE, body={"metadata": {"user_id": "{user_id}"}}),
    ("GET", TALK): scoped(Scope.SESSIONS_READ, **IN_SESSION),
    ("POST", TALK): scoped(Scope.SESSIONS_WRITE, **IN_SESSION, body={"metadata": {"title": "{fresh}"}}),
    ("DELETE", TALK): scoped(Scope.SESSIONS_WRITE, **IN_SESSION, spends=True),
    ("GET", f"{TALK}/items"): scoped(Scope.SESSIONS_READ, **IN_SESSION),
    ("POST", f"{TALK}/items"): scoped(
        Scope.SESSIONS_WRITE, **IN_SESSION, body={"items": [{"role": "user", "content": "Hello"}]}
    ),
    ("GET", f"{TALK}/items/{{item_id}}"): scoped(Scope.SESSIONS_READ, **NO_ITEM),
    ("DELETE", f"{TALK}/items/{{item_id}}"): scoped(Scope.SESSIONS_WRITE, **NO_ITEM),
}
# Each field of a query needs a scope of its own: tests/gateways/graphql/test_routes.py.
GRAPHQL = {("POST", "/graphql"): anyone(body={"query": "{ __typename }"})}
STORES = "/v1/memory_stores"
STORE = (("memory_store_id", "{profile_id}"),)
# The world has no memory at a path, and no version of one.
NO_DOCUMENT: dict[str, Any] = {"owner": 404, "user": 404, "stranger": 404, "also": frozenset({404})}
NO_VERSION: dict[str, Any] = {**NO_DOCUMENT, "fills": (*STORE, ("memory_version_id", NO_FACTOR))}
NOT_STORED = {**NO_DOCUMENT, "fills": (*STORE, ("memory_id", NO_FACTOR))}
ANTHROPIC = {
    ("GET", STORES): scoped(Scope.PROFILES_READ),
    ("POST", STORES): scoped(Scope.PROFILES_WRITE, body={**NAMED, "metadata": {"user_id": "{user_id}"}}),
    ("GET", f"{STORES}/{{memory_store_id}}"): scoped(Scope.PROFILES_READ, stranger=404, fills=STORE),
    ("POST", f"{STORES}/{{memory_store_id}}"): scoped(Scope.PROFILES_WRITE, stranger=404, fills=STORE, body=NAMED),
    ("POST", f"{STORES}/{{memory_store_id}}/archive"): scoped(Scope.PROFILES_WRITE, stranger=404, fills=STORE),
    ("DELETE", f"{STORES}/{{memory_store_id}}"): scoped(
        Scope.PROFILES_WRITE, stranger=404, fills=STORE, also=frozenset({409}), spends=True
    ),
    ("GET", f"{STORES}/{{memory_store_id}}/memories"): scoped(Scope.MEMORIES_READ, stranger=404, fills=STORE),
    ("POST", f"{STORES}/{{memory_store_id}}/memories"): scoped(
        Scope.MEMORIES_WRITE, stranger=404, fills=STORE, body={"path": "/{fresh}", "content": "Likes tea"}
    ),
    ("GET", f"{STORES}/{{memory_store_id}}/memories/{{memory_id}}"): scoped(Scope.MEMORIES_READ, **NOT_STORED),
    ("POST", f"{STORES}/{{memory_store_id}}/memories/{{memory_id}}"): scoped(
        Scope.MEMORIES_WRITE, **NOT_STORED, body={"content": "Likes coffee"}
    ),
    ("DELETE", f"{STORES}/{{memory_store_id}}/memories/{{memory_id}}"): scoped(Scope.MEMORIES_WRITE, **NOT_STORED),
    ("GET", f"{STORES}/{{memory_store_id}}/memory_versions"): scoped(Scope.MEMORIES_READ, stranger=404, fills=STORE),
    ("GET", f"{STORES}/{{memory_store_id}}/memory_versions/{{memory_version_id}}"): scoped(
        Scope.MEMORIES_READ, **NO_VERSION
    ),
    ("POST", f"{STORES}/{{memory_store_id}}/memory_versions/{{memory_version_id}}/redact"): scoped(
        Scope.MEMORIES_WRITE, **NO_VERSION
    ),
}
HIS = {"filters": {"user_id": "{user_id}"}}
ASKS = {**HIS, "query": "tea"}
SAID = {"messages": "I like tea", "user_id": "{user_id}"}
THESE = {"memories": [{"memory_id": "{memory_id}"}]}
MEMORIES = {
    ("GET", "/v1/ping/"): anyone(),
    ("POST", "/v3/memories/add/"): scoped(Scope.MEMORIES_WRITE, body=SAID),
    ("POST", "/v3/memories/"): scoped(Scope.MEMORIES_READ, body=HIS),
    ("POST", "/v3/memories/search/"): scoped(Scope.MEMORIES_READ, body=ASKS),
    ("GET", "/v1/memories/{memory_id}/"): scoped(Scope.MEMORIES_READ),
    ("GET", "/v1/memories/{memory_id}/history/"): scoped(Scope.MEMORIES_READ),
    ("PUT", "/v1/memories/{memory_id}/"): scoped(Scope.MEMORIES_WRITE, body={"text": "Likes coffee"}),
    ("DELETE", "/v1/memories/{memory_id}/"): scoped(Scope.MEMORIES_WRITE, spends=True),
    ("POST", "/v1/memories/{memory_id}/archive"): scoped(Scope.MEMORIES_WRITE),
    ("POST", "/v1/memories/{memory_id}/move"): scoped(Scope.MEMORIES_WRITE, body={"profile_id": "{profile_id}"}),
    ("POST", "/v1/memories/{memory_id}/restore"): scoped(Scope.MEMORIES_WRITE),
    ("DELETE", "/v1/memories/"): scoped(Scope.MEMORIES_WRITE, query="?user_id={user_id}"),
    ("PUT", "/v1/batch/"): scoped(
        Scope.MEMORIES_WRITE, body={"memories": [{"memory_id": "{memory_id}", "text": "Likes milk"}]}
    ),
    ("DELETE", "/v1/batch/"): scoped(Scope.MEMORIES_WRITE, body=THESE, spends=True),
    ("POST", "/v1/feedback/"): scoped(Scope.MEMORIES_WRITE, body={"memory_id": "{memory_id}", "feedback": "POSITIVE"}),
    ("POST", "/v1/summary/"): scoped(Scope.MEMORIES_READ, body=HIS),
    ("GET", "/v1/stats/"): scoped(Scope.MEMORIES_READ),
    ("GET", "/v1/event/{event_id}/"): scoped(Scope.MEMORIES_READ),
    # The event of the world has not failed.
    ("POST", "/v1/event/{event_id}/retry"): scoped(
        Scope.MEMORIES_WRITE, owner=409, user=409, stranger=404, also=frozenset({409})
    ),
    ("GET", "/v1/events/"): scoped(Scope.MEMORIES_READ),
    ("GET", "/v1/memories/events/"): scoped(Scope.MEMORIES_READ),
    ("POST", "/v1/erase"): scoped(Scope.MEMORIES_WRITE, body={"memory_id": "{memory_id}"}, spends=True),
    ("GET", "/v1/erase/{erasure_id}"): scoped(Scope.MEMORIES_READ),
    ("GET", "/v1/entities/"): scoped(Scope.MEMORIES_READ),
    ("GET", "/v1/entities/filters/"): scoped(Scope.MEMORIES_READ),
    # No row has this id.
    ("DELETE", "/v1/entities/{entity_type}/{entity_id}/"): scoped(
        Scope.MEMORIES_WRITE,
        owner=404,
        user=404,
        stranger=404,
        also=frozenset({404}),
        fills=(("entity_type", "user"), ("entity_id", "7")),
    ),
    ("GET", "/v2/entities/{entity_type}/{name}/"): scoped(
        Scope.MEMORIES_READ, stranger=404, fills=(("entity_type", "user"), ("name", "{user_id}"))
    ),
    ("DELETE", "/v2/entities/{entity_type}/{name}/"): scoped(
        Scope.MEMORIES_WRITE, spends=True, fills=(("entity_type", "user"), ("name", "{user_id}"))
    ),
    ("POST", "/v1/users/"): scoped(Scope.MEMORIES_WRITE, body={"user_id": "{user_id}"}),
    ("POST", "/v1/agents/"): scoped(Scope.MEMORIES_WRITE, user=403, body={"agent_id": "Agent {fresh}"}),
    ("POST", "/v1/apps/"): scoped(Scope.MEMORIES_WRITE, user=403, body={"app_id": "App {fresh}"}),
    ("POST", "/v1/runs/"): scoped(Scope.MEMORIES_WRITE, user=403, body={"run_id": "Run {fresh}"}),
    ("POST", "/v1/memories/"): scoped(Scope.MEMORIES_WRITE, body=SAID),
    ("GET", "/v1/memories/"): scoped(Scope.MEMORIES_READ, query="?user_id={user_id}"),
    ("POST", "/v1/memories/search/"): scoped(Scope.MEMORIES_READ, body={"query": "tea", "user_id": "{user_id}"}),
    ("POST", "/v2/memories/"): scoped(Scope.MEMORIES_READ, body=HIS),
    ("POST", "/v2/memories/search/"): scoped(Scope.MEMORIES_READ, body=ASKS),
    ("GET", "/v1/memories/{entity_type}/{entity_id}/"): scoped(
        Scope.MEMORIES_READ, fills=(("entity_type", "user"), ("entity_id", "{user_id}"))
    ),
}
HOOKS, HOOK = "/api/v1/webhooks/projects/{project_id}/", "/api/v1/webhooks/{webhook_id}/"
# Events of memories need memories:read besides: tests/webhooks/test_webhooks.py.
NEW_HOOK = {**NAMED, "url": "https://hooks.example/in", "event_types": ["retention_run"]}
WEBHOOKS = {
    ("GET", HOOKS): scoped(Scope.PROJECTS_READ, user=404),
    ("POST", HOOKS): scoped(Scope.PROJECTS_WRITE, body=NEW_HOOK),
    ("GET", HOOK): scoped(Scope.PROJECTS_READ, user=404),
    ("PUT", HOOK): scoped(Scope.PROJECTS_WRITE, body=NAMED),
    ("DELETE", HOOK): scoped(Scope.PROJECTS_WRITE, spends=True),
    ("POST", f"{HOOK}secret/"): scoped(Scope.PROJECTS_WRITE),
    ("GET", f"{HOOK}deliveries/"): scoped(Scope.PROJECTS_READ, user=404),
    ("POST", f"{HOOK}deliveries/{{delivery_id}}/redeliver/"): scoped(Scope.PROJECTS_WRITE),
}
EXPORTS = {
    ("POST", "/v1/exports/"): scoped(Scope.MEMORIES_READ, body={**HIS, "schema": {"properties": {}}}),
    ("POST", "/v1/exports/get/"): scoped(Scope.MEMORIES_READ, body=HIS, stranger=404, also=frozenset({404})),
    ("GET", "/v2/entities/user/{user_id}/profile/"): scoped(Scope.MEMORIES_READ, stranger=404),
    ("GET", "/v1/usage"): scoped(Scope.PROJECTS_READ),
    ("PATCH", "/v1/usage"): scoped(Scope.PROJECTS_WRITE, body={"monthly_token_budget": 1000}),
    ("GET", "/v2/profiles/settings/"): scoped(Scope.PROJECTS_READ),
    ("POST", "/v2/profiles/settings/"): scoped(Scope.PROJECTS_WRITE, body={"enabled": True}),
    ("POST", "/v2/profiles/jobs/"): scoped(
        Scope.MEMORIES_WRITE,
        body={"operation": "trigger", "entity_type": "user", "entity_id": "{user_id}"},
        stranger=404,
        also=frozenset({400}),
    ),
    ("GET", "/v2/profiles/jobs/{job_id}/"): scoped(
        Scope.MEMORIES_READ, stranger=404, fills=(("job_id", "{user_profile_job_id}"),)
    ),
}
SENT = {"conversation_id": "talk", "role": "user", "content": "Likes tea"}
STORED = (("message_id", "{stored_message_id}"),)
STORED_MESSAGES = {
    ("POST", "/v1/messages"): scoped(Scope.MEMORIES_WRITE, body=SENT),
    ("POST", "/v1/messages/batch"): scoped(Scope.MEMORIES_WRITE, body={"messages": [SENT]}),
    ("GET", "/v1/messages"): scoped(Scope.MEMORIES_READ),
    ("GET", "/v1/memory/search"): scoped(Scope.MEMORIES_READ, query="?query=tea"),
    ("GET", "/v1/messages/{message_id}"): scoped(Scope.MEMORIES_READ, stranger=404, fills=STORED),
    ("POST", "/v1/messages/{message_id}/archive"): scoped(Scope.MEMORIES_WRITE, stranger=404, fills=STORED),
    ("POST", "/v1/messages/{message_id}/restore"): scoped(Scope.MEMORIES_WRITE, stranger=404, fills=STORED),
    ("DELETE", "/v1/messages/{message_id}"): scoped(Scope.MEMORIES_WRITE, stranger=404, fills=STORED, spends=True),
}
DATA_EXPORT = (("export_id", "{data_export_id}"),)
# A key needs all three scopes of what an export contains.
NEEDS_ALL = frozenset({403})
PORTABILITY = {
    ("POST", "/v1/export"): scoped(Scope.MEMORIES_READ, body={}, also=NEEDS_ALL | {409}),
    ("GET", "/v1/export"): scoped(Scope.MEMORIES_READ, also=NEEDS_ALL),
    # The export of the world is not finished: 202.
    ("GET", "/v1/export/{export_id}"): scoped(Scope.MEMORIES_READ, stranger=404, also=NEEDS_ALL, fills=DATA_EXPORT),
    ("DELETE", "/v1/export/{export_id}"): scoped(
        Scope.MEMORIES_READ, stranger=404, also=NEEDS_ALL, spends=True, fills=DATA_EXPORT
    ),
    ("POST", "/v1/import"): scoped(
        Scope.MEMORIES_WRITE, body=[{"memory": "Likes tea", "user_id": "{user_id}"}], also=NEEDS_ALL
    ),
}
OLD = {"rules": [{"name": "Old", "older_than_days": 9}]}
HELD = (("user_id", "{held_user_id}"),)
RETENTION = {
    ("GET", "/v1/admin/retention"): scoped(Scope.PROJECTS_READ, user=403),
    ("PUT", "/v1/admin/retention"): scoped(Scope.PROJECTS_WRITE, body=OLD),
    ("POST", "/v1/admin/retention/run"): scoped(Scope.PROJECTS_WRITE, body={"dry_run": True}),
    ("GET", "/v1/admin/retention/runs"): scoped(Scope.PROJECTS_READ, user=403),
    ("GET", "/v1/admin/retention/runs/{run_id}"): scoped(
        Scope.PROJECTS_READ, user=403, stranger=404, fills=(("run_id", "{retention_run_id}"),)
    ),
    ("GET", "/v1/admin/holds"): scoped(Scope.PROJECTS_READ, user=403),
    ("PUT", "/v1/admin/holds/{user_id}"): scoped(Scope.PROJECTS_WRITE, body={}, fills=HELD),
    ("DELETE", "/v1/admin/holds/{user_id}"): scoped(Scope.PROJECTS_WRITE, stranger=404, spends=True, fills=HELD),
}
ORGS, ORG = "/api/v1/orgs/organizations/", "/api/v1/orgs/organizations/{organization_id}/"
OTHER = {"email": "{account_id}@example.com", "role": "READER"}
PLATFORM = {
    ("GET", ORGS): place(Scope.PROJECTS_READ),
    ("POST", ORGS): place(user=403, body=NAMED),
    ("GET", ORG): place(Scope.PROJECTS_READ, user=404),
    ("DELETE", ORG): place(reader=403, user=404, spends=True),
    ("GET", f"{ORG}members/"): place(user=404),
    ("POST", f"{ORG}members/"): place(reader=403, user=404, body=MEMBER, spends=True),
    ("PUT", f"{ORG}members/"): place(reader=403, user=404, body=OTHER),
    ("DELETE", f"{ORG}members/"): place(reader=403, user=404, body=OTHER, spends=True),
    ("GET", f"{ORG}projects/"): place(Scope.PROJECTS_READ, user=404),
    ("POST", f"{ORG}projects/"): place(Scope.ADMIN, reader=403, user=404, body=NAMED),
    ("GET", f"{ORG}projects/{{project_id}}/"): place(Scope.PROJECTS_READ, user=403),
    ("PATCH", f"{ORG}projects/{{project_id}}/"): place(Scope.PROJECTS_WRITE, reader=403, user=403, body=NAMED),
    ("DELETE", f"{ORG}projects/{{project_id}}/"): place(Scope.ADMIN, reader=403, user=403, spends=True),
    ("GET", f"{ORG}projects/{{project_id}}/members/"): place(Scope.PROJECTS_READ, user=403),
    ("POST", f"{ORG}projects/{{project_id}}/members/"): place(
        Scope.ADMIN, reader=403, user=403, body=MEMBER, spends=True
    ),
    ("PUT", f"{ORG}projects/{{project_id}}/members/"): place(Scope.ADMIN, reader=403, user=403, body=OTHER),
    ("DELETE", f"{ORG}projects/{{project_id}}/members/"): place(
        Scope.ADMIN, reader=403, user=403, query="?email={account_id}@example.com", spends=True
    ),
}
TABLE: Mapping[tuple[str, str], Rule] = {
    **PUBLIC,
    **ACCOUNTS,
    **PROJECTS,
    **API_KEYS,
    **ADMINISTRATION,
    **PROFILES,
    **SESSIONS,
    **CHAT,
    **OPENAI,
    **GRAPHQL,
    **ANTHROPIC,
    **MEMORIES,
    **STORED_MESSAGES,
    **PLATFORM,
    **WEBHOOKS,
    **EXPORTS,
    **RETENTION,
    **PORTABILITY,
}
