"""What the OpenAPI document says besides the routes themselves: tags, operation ids, summaries and examples."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.web.api_examples import add_examples, operations

TAGS = [
    {"name": "Memories", "description": "Add, search, list, change and delete memories: version 3 of mem0's API."},
    {
        "name": "Messages",
        "description": "Store messages, and find them by meaning, importance and age.",
    },
    {"name": "Events", "description": "The outcome of requests, and the changes of memories."},
    {"name": "Entities", "description": "The users, agents, apps and runs that memories belong to."},
    {"name": "User profiles", "description": "Structured summaries of what is remembered about a user."},
    {"name": "Memory exports", "description": "Memories in the structure of a JSON schema."},
    {"name": "Export and import", "description": "All data of a person or a project as a file, and the way back."},
    {"name": "Webhooks", "description": "Signed notifications about changes of memories."},
    {"name": "Chat", "description": "Chat turns with memory, whole or as server-sent events, and their usage."},
    {"name": "OpenAI", "description": "OpenAI's API with memory, for its clients: change their base URL."},
    {"name": "Anthropic", "description": "Anthropic's memory stores over profiles, for its clients."},
    {"name": "GraphQL", "description": "Memories, messages, profiles and sessions as one GraphQL schema."},
    {"name": "Sessions", "description": "Conversations with a privacy mode, and their messages."},
    {"name": "Profiles", "description": "Named sets of memories of one user, with an optional persona."},
    {
        "name": "Erasure",
        "description": "Erase everything of a user, profile, session, memory or account, with a receipt.",
    },
    {"name": "Accounts", "description": "Sign up, sign in, and manage the signed-in account."},
    {"name": "Projects", "description": "Tenants, and the accounts that may use them."},
    {"name": "Organizations", "description": "Groups of projects, and their members."},
    {"name": "Invitations", "description": "Invite people to a project or an organization; accept or decline."},
    {"name": "API keys", "description": "Credentials of applications."},
    {"name": "Administration", "description": "Health, usage and the audit log of a project."},
    {"name": "Organizations for mem0 clients", "description": "Organizations and members in mem0's format."},
    {"name": "Projects for mem0 clients", "description": "Projects, settings and members in mem0's format."},
    {"name": "Older memory routes", "description": "Versions 1 and 2 of mem0's API, for older clients."},
    {"name": "Retention", "description": "Rules that archive and delete memories, their runs, and legal holds."},
    {"name": "Health", "description": "Liveness, readiness and metrics."},
]


def operation_id(route: APIRoute) -> str:
    """The name of the function: short and unique, because client generators turn it into a method name."""
    return route.name


def document_reference(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            describe_operations(generate())
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it


def describe_operations(document: dict[str, Any]) -> None:
    for operation in operations(document):
        operation["summary"] = operation["operationId"].replace("_", " ").capitalize().replace("Api", "API")
    add_examples(document)
