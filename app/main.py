"""Builds the web application from the routers of all features."""

from functools import cache, partial

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from app.admin.audit_routes import router as audit_log
from app.admin.health_routes import router as admin_health
from app.admin.usage_routes import router as daily_usage
from app.api_keys.oauth.grant_routes import router as oauth_grants
from app.api_keys.oauth.routes import consent_router as oauth_consent
from app.api_keys.oauth.routes import router as oauth
from app.api_keys.routes import router as api_keys
from app.chat.routes import router as chat
from app.chat.usage.routes import router as usage
from app.core.http import error_responses as rendering
from app.core.http.body_budget import BodyBudget
from app.core.http.error_responses import ErrorShape
from app.core.http.health_routes import router as core
from app.core.http.middleware import RequestMiddleware
from app.core.http.status_reports import StatusReports
from app.core.http.trailing_slash import TrailingSlash
from app.core.resources import Resources
from app.erasure.routes import router as erasure
from app.gateways.anthropic.errors import ANTHROPIC_PATHS, anthropic_error
from app.gateways.anthropic.memory_routes import router as store_memories
from app.gateways.anthropic.store_routes import router as memory_stores
from app.gateways.anthropic.version_routes import router as memory_versions
from app.gateways.graphql.errors import GRAPHQL_PATHS, graphql_error
from app.gateways.graphql.routes import router as graphql
from app.gateways.mcp.errors import MCP_PATHS, mcp_error
from app.gateways.mcp.routes import router as mcp
from app.gateways.mem0.entities.routes import router as memory_entities
from app.gateways.mem0.events.routes import router as memory_events
from app.gateways.mem0.memories.archive_routes import router as memory_archive
from app.gateways.mem0.memories.batch import router as memory_batches
from app.gateways.mem0.memories.routes import router as memories
from app.gateways.mem0.older_versions.routes import router as older_memories
from app.gateways.mem0.platform import router as platform
from app.gateways.messages.routes import router as messages
from app.gateways.openai.completion_routes import router as openai_completions
from app.gateways.openai.errors import OPENAI_PATHS, openai_error
from app.gateways.openai.model_routes import router as openai_models
from app.gateways.openai.responses.conversation_routes import router as openai_conversations
from app.gateways.openai.responses.routes import router as openai_responses
from app.identity.body_gate import BodyGate
from app.identity.factor_routes import router as second_factors
from app.identity.routes import router as identity
from app.portability.exports.routes import router as data_exports
from app.portability.imports.routes import router as data_imports
from app.portability.profile_routes import router as profile_memories
from app.profiles.routes import router as profiles
from app.projects.routes import router as projects
from app.retention.hold_routes import router as holds
from app.retention.routes import router as retention
from app.sessions.routes import router as sessions
from app.version import VERSION
from app.web.api_docs import router as api_docs
from app.web.api_reference import TAGS, document_reference, operation_id
from app.web.page import router as page

ROUTERS = (
    # Routes are matched in this order, so frequent ones come first: each route before takes 0.002 ms.
    # /v1/memories/events/ must precede /v1/memories/{id}/, and /v1/memories/{id}/history/ the routes of entities.
    memory_events,
    memories,
    mcp,
    chat,
    messages,
    graphql,
    openai_completions,
    openai_responses,
    openai_models,
    store_memories,
    memory_stores,
    memory_versions,
    openai_conversations,
    sessions,
    core,
    identity,
    second_factors,
    projects,
    api_keys,
    profiles,
    usage,
    holds,
    audit_log,
    daily_usage,
    admin_health,
    retention,
    profile_memories,
    memory_archive,
    erasure,
    data_exports,
    data_imports,
    memory_batches,
    platform,
    memory_entities,
    older_memories,
    oauth,
    oauth_consent,
    oauth_grants,
    api_docs,
    page,
)
ERROR_SHAPES: dict[str, ErrorShape] = {
    **dict.fromkeys(OPENAI_PATHS, openai_error),
    **dict.fromkeys(ANTHROPIC_PATHS, anthropic_error),
    **dict.fromkeys(GRAPHQL_PATHS, graphql_error),
    **dict.fromkeys(MCP_PATHS, mcp_error),
}
DESCRIPTION = "Memory as a service: profiles, sessions, privacy modes, and mem0's Platform API on a server of your own."
EXPOSED = [
    *("X-Request-ID", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    *("ETag", "Content-Range", "Content-Disposition"),
    # supabase-js reads the code of an error only if it can see the version, and the pages of accounts from the others.
    *("X-Supabase-Api-Version", "X-Total-Count", "Link"),
]


@cache
def routes_of_features() -> list[BaseRoute]:
    """One list for all applications of a process: FastAPI analyzes it on first use, which takes a second of CPU."""
    template = FastAPI(openapi_url=None, generate_unique_id_function=operation_id)
    for router in ROUTERS:
        template.include_router(router)
    return template.router.routes


def create_app(resources: Resources) -> FastAPI:
    app = FastAPI(
        title="Keepsake",
        version=VERSION,
        description=DESCRIPTION,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
    )
    app.state.resources = resources
    app.state.status_reports = StatusReports(resources)
    app.state.auth_limit = resources.config.auth_limit
    rendering.install(app, ERROR_SHAPES)
    app.router.routes.extend(routes_of_features())
    document_reference(app)
    if resources.identity_app:
        app.mount("/auth/v1", resources.identity_app)
    app.router.default = TrailingSlash(app)
    with_cors = partial(
        CORSMiddleware,
        allow_origins=resources.config.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
        max_age=600,
    )
    app.add_middleware(with_cors)
    app.add_middleware(
        RequestMiddleware,
        timeout_seconds=resources.config.request_timeout_seconds,
        body_limit=BodyGate(app, resources.config.max_body_bytes),
        body_budget=BodyBudget(resources.config.body_bytes_at_once),
        has_https_url=resources.config.base_url.lower().startswith("https://"),
        with_cors=with_cors,
    )
    return app
