"""Sessions, their messages, and the turns of a chat. Each field calls what its own route calls."""

from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.chat.routes import answer_whole
from app.chat.schemas import ChatRequest, TurnAnswer
from app.gateways.graphql.call import render
from app.gateways.graphql.memory_fields import Info
from app.gateways.graphql.message_fields import StoreOptions
from app.gateways.graphql.profile_fields import Done, OwnedPage
from app.gateways.graphql.types import field_of, input_type, output_type, page_type, read_input
from app.gateways.mem0.responses import JsonObject
from app.identity.scopes import Scope
from app.memory.ledger import Door
from app.sessions import routes
from app.sessions.schemas import MessageRead, SessionCreate, SessionPatch, SessionRead


class SessionList(OwnedPage):
    profile_id: UUID | None = None


CreateInput = Annotated[Any, strawberry.argument(graphql_type=input_type(SessionCreate, "CreateSessionInput"))]
ChangeInput = Annotated[Any, strawberry.argument(graphql_type=input_type(SessionPatch, "UpdateSessionInput"))]
TurnArgument = Annotated[
    Any, strawberry.argument(graphql_type=input_type(ChatRequest, "SendMessageInput", frozenset({"stream"})))
]


@field_of(
    page_type("SessionMessagePage", output_type(MessageRead, "SessionMessage")),
    "The messages of the session, newest first. Those in incognito are never stored.",
)
async def messages(root: strawberry.Parent[Any], info: Info, limit: int = 50, cursor: str | None = None) -> JsonObject:
    given = read_input(OwnedPage, None, limit=limit, cursor=cursor)
    async with info.context.transaction(Scope.SESSIONS_READ) as tx:
        page = await routes.list_messages(root["id"], info.context.caller, tx, given.limit, given.cursor)
        return {"results": [render(MessageRead, row) for row in page.results], "next": page.next}


Session = output_type(SessionRead, "Session", messages=messages)


@field_of(page_type("SessionPage", Session), "The sessions of a user, newest first.")
async def sessions(
    info: Info,
    user_id: str | None = None,
    profile_id: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> JsonObject:
    given = read_input(SessionList, None, user_id=user_id, profile_id=profile_id, limit=limit, cursor=cursor)
    async with info.context.transaction(Scope.SESSIONS_READ) as tx:
        page = await routes.list_sessions(
            info.context.caller, tx, given.user_id, given.profile_id, given.limit, given.cursor
        )
        return {"results": [render(SessionRead, row) for row in page.results], "next": page.next}


@field_of(Session, "One session.")
async def session(info: Info, id: UUID) -> JsonObject:
    async with info.context.transaction(Scope.SESSIONS_READ) as tx:
        return render(SessionRead, await routes.get_session(id, info.context.caller, tx))


@field_of(Session, "Creates a session, in the default profile unless it names one.")
async def create_session(info: Info, input: CreateInput) -> JsonObject:
    body = read_input(SessionCreate, input)
    async with info.context.transaction(Scope.SESSIONS_WRITE) as tx:
        return render(SessionRead, await routes.create_session(body, info.context.caller, tx))


@field_of(
    Session,
    "Changes the title or the privacy mode, which applies from the next message on.",
)
async def update_session(info: Info, id: UUID, input: ChangeInput) -> JsonObject:
    body = read_input(SessionPatch, input)
    async with info.context.allowed(Scope.SESSIONS_WRITE):
        return render(SessionRead, await routes.change_session(id, body, info.context.caller, info.context.resources))


@field_of(Done, "Deletes a session with its messages. Memories stay.")
async def delete_session(info: Info, id: UUID) -> JsonObject:
    async with info.context.allowed(Scope.SESSIONS_WRITE, deletes=True):
        return (await routes.delete_session(id, info.context.caller, info.context.resources)).model_dump()


@field_of(
    output_type(TurnAnswer, "ChatAnswer"),
    "Sends a message, and returns the answer. Without a `session_id`, a session is created.",
)
async def send_message(info: Info, input: TurnArgument, idempotency_key: str | None = None) -> JsonObject:
    body = read_input(ChatRequest, input)
    options = read_input(StoreOptions, None, idempotency_key=idempotency_key)
    call = info.context
    async with call.allowed(Scope.SESSIONS_WRITE):
        return await answer_whole(
            call.request, call.resources, call.caller, body, options.idempotency_key, Door.GRAPHQL
        )


SESSION_QUERIES = (sessions, session)
SESSION_MUTATIONS = (create_session, update_session, delete_session, send_message)
