"""Examples for the OpenAPI document, composed from the schemas so that they cannot contradict them.

A new field of type text needs a value in `VALUES`; tests/test_openapi.py names the fields that have none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
TIME, LATER = "2026-01-31T09:30:00Z", "2026-02-28T09:30:00Z"
ACCOUNT_ID = "0f4c2a9e-6a0b-4c55-9d0e-3f2f5d1c7a10"
PROJECT_ID = "7d9f4a52-1c3b-4d0e-8f6a-2b5c8e1f0a34"
ORGANIZATION_ID = "c2b8e6d4-5a17-4f39-b0c1-9e8d7f6a5b43"
PROFILE_ID = "5b1e7c3a-8d24-4a6f-9b0c-1d2e3f4a5b6c"
SESSION_ID = "3e8a1f70-2c9d-4b5e-a6f1-0d9c8b7a6e5f"
MEMORY_ID = "9c4b2d1e-7f3a-4e8b-8a5d-6c1f0e2b3d4a"
EVENT_ID = "1a6f0c8d-3b5e-4d7a-9f2c-8e4b6a0d1c3f"

VALUES: dict[str, object] = {
    "content_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "description": "What to know on journeys.",
    "memory_store_id": "memstore_5b1e7c3a8d244a6f9b0c1d2e3f4a5b6c",
    "memory_version_id": "memver_1a6f0c8d3b5e4d7a9f2c8e4b6a0d1c3f",
    "path": "/people/ines.md",
    "access_token": "eyJhbGciOiJFUzI1NiIs…",
    "account_id": ACCOUNT_ID,
    "action": "api_key.created",
    "actor_id": ACCOUNT_ID,
    "agent_id": "travel-assistant",
    "app_id": "concierge",
    "attempts": 1,
    "capabilities": {"entity_types": ["user"], "operations": ["trigger", "sample"], "language_model": True},
    "categories": ["food"],
    "checks": {"database": "ok", "index": "ok"},
    "completed": 1,
    "completed_at": TIME,
    "content": "I am vegetarian.",
    "conversation_id": "user-123",
    "count": 1,
    "created_at": TIME,
    "day": "2026-01-31",
    "details": {"changed": ["scopes"], "scopes": ["memories:read"], "previous_scopes": ["memories:write"]},
    "display_name": "Alice",
    "docs": "/docs",
    "email": "alice@example.com",
    "user_email": "alice@example.com",
    "entity_id": "alice",
    "entity_ids": ["alice"],
    "errors": [],
    "event": "ADD",
    "event_id": EVENT_ID,
    "event_type": "memory_add",
    "expires_at": LATER,
    "expires_in": 3600,
    "factor_id": EVENT_ID,
    "fields": ["id", "memory"],
    "filters": {"user_id": "alice"},
    "generation_count": 1,
    "health": "/v1/health",
    "id": MEMORY_ID,
    "input": [{"role": "user", "content": "I am vegetarian."}],
    "invitation_id": EVENT_ID,
    "invited_by": "bob@example.com",
    "is_active": True,
    "is_default": True,
    "job_id": EVENT_ID,
    "key": "ks_4f9c2b7e…",
    "key_id": EVENT_ID,
    "key_name": "Chat application",
    "last_active": TIME,
    "latency": 812.5,
    "lifecycle_state": "active",
    "memory": "Alice is vegetarian.",
    "memory_id": MEMORY_ID,
    "message": "What should I cook tonight?",
    "messages": [{"role": "user", "content": "I am vegetarian."}],
    "messages_by_role": {"user": 4, "assistant": 4},
    "metadata": {"topic": "food"},
    "month": "2026-01-01",
    "monthly_token_budget": 1_000_000,
    "name": "Work",
    "new_memory": "Alice is vegetarian.",
    "org_id": ORGANIZATION_ID,
    "organization": ORGANIZATION_ID,
    "organization_id": ORGANIZATION_ID,
    "owner": PROJECT_ID,
    "password": "correct horse battery",
    "payload": {"user_id": "alice"},
    "persona": "You are a concise assistant.",
    "prefix": "ks_4f9c2b",
    "profile": {"home_city": "Rome", "diet": "vegetarian"},
    "profile_id": PROFILE_ID,
    "project": PROJECT_ID,
    "project_id": PROJECT_ID,
    "query": "What does Alice eat?",
    "refresh_token": "v1.Mq3kX8…",
    "relations": [],
    "request_id": "1f0c9a7b5d3e4c2a8b6d0e1f2a3b4c5d",
    "role": "user",
    "run_id": "trip-2026",
    "schema": {"type": "object", "properties": {"diet": {"type": "string", "description": "What the user eats"}}},
    "scopes": ["memories:read", "memories:write"],
    "score": 0.82,
    "secret": "whsec_9f2c7b1d…",
    "session_id": SESSION_ID,
    "sign_up": "POST /v1/auth/signup",
    "since": "2026-01-02",
    "started_at": TIME,
    "state": "finished",
    "subject_hash": "6a1f0c8d3b5e4d7a",
    "status_url": f"/v2/profiles/jobs/{EVENT_ID}/",
    "structured_attributes": {"year": 2026, "month": 1, "day": 31, "day_of_week": "saturday", "is_weekend": True},
    "summary": "- Alice is vegetarian.",
    "target_id": EVENT_ID,
    "text": "Alice is vegan.",
    "title": "Dinner",
    "to_profile_id": PROFILE_ID,
    "token_hash": "pkce_7d2e9a…",
    "tenant_id": "my-app",
    "token_type": "bearer",
    "until": "2026-01-31",
    "updated_at": TIME,
    "url": "https://example.com/hooks/memories",
    "user_id": "alice",
    "username": "alice@example.com",
    "webhook_id": EVENT_ID,
    "what": "Memory for AI applications",
}
# Where a field means something else than fields of its name usually do: the name of its schema, a dot, its own name.
SPECIAL_VALUES: dict[str, object] = {
    "AccountRead.id": ACCOUNT_ID,
    "ActorRead.id": ACCOUNT_ID,
    "AddResponse.message": "Memory processing has been queued for background execution",
    "AddResponse.results": None,
    "DeleteResponse.message": "Memory deleted successfully!",
    "ImportReport.added": {"profile": 1, "memory": 2},
    "ImportReport.errors": [{"line": 3, "detail": "Line 3 of the file has no text under `memory` or `data`."}],
    "Done.message": "Done.",
    "EntityNames.agent_id": ["travel-assistant"],
    "EntityNames.app_id": ["concierge"],
    "EntityNames.run_id": ["trip-2026"],
    "EntityNames.user_id": ["alice", "bob"],
    "EntityRead.id": "17",
    "EntityRead.name": "alice",
    "EventAccepted.message": "Memories deleted successfully!",
    "EventRead.event_type": "ADD",
    "EventRead.status": "SUCCEEDED",
    "ExportCreated.message": "Memory export request received. Fetch it with its id.",
    "FactorChallengeRead.id": SESSION_ID,
    "FactorEnrolled.id": EVENT_ID,
    "FactorEnrolled.qr_code": "data:image/svg+xml;utf-8,<svg …",
    "FactorEnrolled.secret": "JBSWY3DPEHPK3PXP",
    "FactorEnrolled.uri": "otpauth://totp/example.com:alice@example.com?…&secret=JBSWY3DPEHPK3PXP",
    "FactorRead.id": EVENT_ID,
    "FactorRead.name": "Telephone",
    "FactorRead.type": "totp",
    "FactorVerify.code": "492039",
    "HistoryEntry.session_id": "trip-2026",
    "BatchResult.code": None,
    "BatchResult.error": None,
    "BatchResult.status": "stored",
    "MemberDetails.user_id": ACCOUNT_ID,
    "MemberDetails.role": "OWNER",
    "MemberRead.role": "OWNER",
    "MemoryRead.session_id": "trip-2026",
    "MemorySearchResult.session_id": "trip-2026",
    "MessageFound.state": "indexed",
    "OrganizationCreated.message": "Organization created successfully.",
    "OrganizationDetails.id": ORGANIZATION_ID,
    "OrganizationRead.id": ORGANIZATION_ID,
    "ProfileJobProgress.operation": "trigger",
    "ProfileJobProgress.status": "succeeded",
    "ProfileJobStarted.operation": "trigger",
    "Receipt.finished_at": TIME,
    "Receipt.found": {"memories": 12, "vectors": 12},
    "Receipt.kind": "user",
    "Receipt.left": {"memories": 0, "vectors": 0},
    "Receipt.removed": {"memories": 12, "vectors": 12},
    "Receipt.requested_at": TIME,
    "Receipt.settled_at": TIME,
    "Receipt.vacuumed_at": TIME,
    "ProfileRead.id": PROFILE_ID,
    "ProjectCreated.message": "Project created successfully.",
    "ProjectRead.id": PROJECT_ID,
    "ProjectRead.role": "OWNER",
    "OrganizationRead.role": "OWNER",
    "QueuedEvent.message": "Memory processing has been queued for background execution",
    "Readiness.status": "ready",
    "SessionRead.id": SESSION_ID,
    "SessionSummary.messages": 8,
    "StoredMessageRead.state": "indexed",
    "SummaryRead.categories": {"food": 1},
    "TurnAnswer.message": {"id": EVENT_ID, "role": "assistant", "content": "How about a mushroom risotto?"},
    "TurnAnswer.user_message": {"id": MEMORY_ID, "role": "user", "content": "What should I cook tonight?"},
    "WebhookRead.event_types": ["memory_add"],
    "WebhookCreated.event_types": ["memory_add"],
    "WebhookRead.owner": None,
    "WebhookCreated.owner": None,
}
STORED_MESSAGE = {"conversation_id": "user-123", "role": "user", "content": "I love Python programming"}
MESSAGES = [{"role": "user", "content": "I am vegetarian and I love Rome."}]
SEARCH = {"query": "What does Alice eat?", "filters": {"user_id": "alice"}, "top_k": 5}
# Bodies whose required fields alone would show too little.
REQUESTS: dict[str, object] = {
    "MessageBatch": {"messages": [STORED_MESSAGE]},
    "MessageCreate": {"tenant_id": "my-app", **STORED_MESSAGE},
    "AccountPatch": {"metadata": {"name": "Alice"}},
    "AddMemories": {"messages": MESSAGES, "user_id": "alice", "metadata": {"source": "chat"}},
    "AddV1": {"messages": MESSAGES, "user_id": "alice", "output_format": "v1.1"},
    "ApiKeyCreate": {"name": "Chat application", "expires_at": LATER},
    "ApiKeyPatch": {"name": "Chat application"},
    "ApiKeyRotate": {"overlap_seconds": 3600},
    "ChatRequest": {"message": "What should I cook tonight?", "privacy_mode": "normal"},
    "EraseRequest": {"user_id": "alice"},
    "ExportQuery": {"memory_export_id": EVENT_ID},
    "FactorEnroll": {"name": "Telephone"},
    "FactorVerify": {"factor_id": EVENT_ID, "code": "492039"},
    "FeedbackCreate": {"memory_id": MEMORY_ID, "feedback": "NEGATIVE", "feedback_reason": "Outdated"},
    "ListMemories": {"filters": {"user_id": "alice"}, "page": 1, "page_size": 50},
    "Logout": {"scope": "global"},
    "MemoryUpdate": {"text": "Alice is vegan.", "metadata": {"topic": "food"}},
    "OldSearch": SEARCH,
    "OrganizationPatch": {"name": "Travel team"},
    "ProfileJobCreate": {"operation": "trigger", "entity_id": "alice"},
    "ChatCompletionRequest": {
        **{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What should I cook tonight?"}]},
        "user": "alice",
    },
    "ResponseRequest": {"model": "gpt-5-mini", "input": "What should I cook tonight?", "user": "alice"},
    "ConversationCreate": {"metadata": {"user_id": "alice", "title": "Dinner"}},
    "ConversationPatch": {"metadata": {"title": "Dinner"}},
    "ItemsCreate": {"items": [{"role": "user", "content": "I am vegetarian."}]},
    "EmbeddingRequest": {"model": "all-MiniLM-L6-v2", "input": "I am vegetarian."},
    "MemoryStoreCreate": {"name": "Notes", "metadata": {"user_id": "alice"}},
    "MemoryStorePatch": {"description": "Notes about journeys."},
    "StoreMemoryCreate": {"path": "/people/ines.md", "content": "Ines lives in Lisbon."},
    "StoreMemoryPatch": {"content": "Ines lives in Porto."},
    "ProfilePatch": {"persona": "You are a concise assistant."},
    "ProfileSettingsUpdate": {"enabled": True, "entities": {"user": {"custom_instructions": "Use short phrases."}}},
    "ProjectPatch": {"name": "Travel assistant"},
    "ProjectSettingsPatch": {"custom_instructions": "Remember travel preferences.", "decay": True},
    "SearchMemories": SEARCH,
    "SessionCreate": {"title": "Dinner", "privacy_mode": "normal"},
    "SessionPatch": {"privacy_mode": "pause_memories"},
    "SummaryRequest": {"filters": {"user_id": "alice"}},
    "TurnRequest": {"content": "What should I cook tonight?", "stream": False},
    "UserCreate": {"user_id": "alice", "name": "Alice", "metadata": {"plan": "free"}},
    "Verify": {"type": "signup", "token_hash": "pkce_7d2e9a…"},
    "WebhookPatch": {"is_active": False},
}
MEM0_PROJECT = {
    "id": PROJECT_ID,
    "project_id": PROJECT_ID,
    "org_id": ORGANIZATION_ID,
    "name": "Travel assistant",
    "custom_instructions": "Remember travel preferences.",
    "custom_categories": None,
    "decay": True,
    "user_role": "OWNER",
}
# Responses whose schema allows any object.
RESPONSES: dict[str, object] = {
    "get_mem0_project": MEM0_PROJECT,
    "get_export": {
        **{"id": EVENT_ID, "user_id": "alice", "state": "finished", "done": 3, "total": 3, "size": 1720},
        **{"counts": {"profile": 1, "memory": 2, "history": 2}, "error": None},
        **{"created_at": TIME, "finished_at": TIME, "expires_at": LATER},
    },
    "get_memory_export": {"diet": "vegetarian"},
    "get_readiness": {
        "status": "ready",
        "checks": {"database": "ok", "index": "ok"},
        "tasks": {"jobs": {"state": "running", "silent_seconds": 0.4, "restarts": 0}},
    },
    "get_admin_health": {
        "status": "ready",
        "checks": {"database": "ok", "index": "ok"},
        "tasks": {"jobs": {"state": "running", "silent_seconds": 0.4, "restarts": 0}},
        "version": "0.3.0",
    },
    "list_mem0_projects": [MEM0_PROJECT],
    "create_chat_completion": {
        **{"id": "chatcmpl-1", "object": "chat.completion", "created": 1769851800, "model": "gpt-5-mini"},
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A mushroom risotto."}}
        ],
        "usage": {"prompt_tokens": 120, "completion_tokens": 6, "total_tokens": 126},
        "keepsake": {"session_id": None, "privacy_mode": "normal", "will_remember": True, "event_id": EVENT_ID},
    },
    "create_response": {
        **{"id": "resp_1a6f0c8d3b5e4d7a9f2c8e4b6a0d1c3f", "object": "response", "status": "completed"},
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Risotto."}]}],
    },
    "create_embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.12, -0.03]}],
        **{"model": "onnx:all-MiniLM-L6-v2-int8-static", "usage": {"prompt_tokens": 8, "total_tokens": 8}},
    },
}
BY_TYPE: dict[str, object] = {"boolean": False, "integer": 0, "number": 0.0, "object": {}}


def add_examples(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content and "example" not in content:
            content["example"] = request_example(schemas, content["schema"])
        for content in success_contents(operation):
            fallback = RESPONSES.get(operation["operationId"])
            content.setdefault("example", fallback or compose(schemas, content["schema"]))


def operations(document: Schema) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def success_contents(operation: Schema) -> Iterator[dict[str, Any]]:
    """The JSON contents of the responses without an error."""
    for status, response in operation["responses"].items():
        if status.startswith("2") and "application/json" in response.get("content", {}):
            yield response["content"]["application/json"]


def request_example(schemas: Schema, schema: Schema) -> object:
    """A curated body, or the required fields."""
    schema = first_option(schema)
    name = schema["$ref"].rsplit("/", 1)[-1]
    if name in REQUESTS:
        return REQUESTS[name]
    required = schemas[name].get("required", ())
    properties = schemas[name]["properties"]
    return {field: field_value(schemas, name, field, properties[field]) for field in required}


def compose(schemas: Schema, schema: Schema, model: str = "") -> object:
    schema = first_option(schema)
    if "$ref" in schema:
        model = schema["$ref"].rsplit("/", 1)[-1]
        return compose(schemas, schemas[model], model)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [compose(schemas, schema["items"])] if schema.get("items") else []
    if "properties" in schema:
        fields = schema["properties"].items()
        return {field: field_value(schemas, model, field, definition) for field, definition in fields}
    return BY_TYPE.get(schema.get("type", ""), "")


def field_value(schemas: Schema, model: str, field: str, schema: Schema) -> object:
    if f"{model}.{field}" in SPECIAL_VALUES:
        return SPECIAL_VALUES[f"{model}.{field}"]
    if field in VALUES and not is_model(schema):
        return VALUES[field]
    if {"type": "null"} in schema.get("anyOf", ()):
        return None
    return schema["default"] if schema.get("default") is not None else compose(schemas, schema)


def is_model(schema: Schema) -> bool:
    """Whether the schema, or that of its items, is a named one, which has fields or words of its own."""
    schema = first_option(schema)
    return "$ref" in first_option(schema.get("items", schema))


def first_option(schema: Schema) -> Schema:
    """The first alternative of a union, which is the one that is not null."""
    options: list[Schema] = schema.get("anyOf") or [schema]
    return options[0]
