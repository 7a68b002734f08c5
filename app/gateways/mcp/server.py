"""The MCP server: translates its messages to tools and resources, and their outcome back.

Importing the package takes a second, so the first request imports this module, in a thread.
"""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from fastapi import Request
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Message, Receive, Scope, Send

from app.core.database.actor import current_actor
from app.core.errors import AppError, TooCostly
from app.core.http.error_responses import INTERNAL_ERROR, report_database_error
from app.core.observability.logging import request_id
from app.gateways.mcp.call import ConnectionDefaults, ToolCall
from app.gateways.mcp.memory_resources import KINDS, list_resources, read_resource
from app.gateways.mcp.tool import NeedsConfirmation
from app.gateways.mcp.tool_calls.answer import answer_call, read_call_message
from app.gateways.mcp.tools import INSTRUCTIONS, MEMORY_ASSISTANT, TOOLS, TOOLS_BY_NAME
from app.gateways.mem0.responses import JsonObject
from app.version import VERSION

log = structlog.get_logger()
Context = ServerRequestContext[Any, Request]
CONFIRMATION = "confirmation"
CONFIRMATION_FORM: JsonObject = {
    "type": "object",
    "properties": {
        "confirm": {"type": "boolean", "title": "Delete permanently"},
        "delete_messages": {"type": "boolean", "title": "Delete the messages that contain it, too"},
    },
    "required": ["confirm"],
}
HOW_TO_CONFIRM = (
    " Show this to the person. If they confirm, call the tool again with the same arguments and `confirmation_token`."
)


async def serve_message(scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
    """Answers one HTTP request. There are no sessions, so none can be taken over by another caller."""
    request = Request(scope, receive)
    if (call := read_call_message(request, body)) is not None:
        response = await answer_call(SERVER, request, call)
        await response(scope, receive, send)
        return
    manager = await manager_of_loop()
    await manager.handle_request(scope, replay(body, receive), send)


def replay(body: bytes, receive: Receive) -> Receive:
    """The body was received already, so that its limits are refused in the form of JSON-RPC."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


async def manager_of_loop() -> StreamableHTTPSessionManager:
    """Opening one takes 0.15 ms of the processor, so the requests of a process share it until its loop ends."""
    loop = asyncio.get_running_loop()
    if loop not in MANAGERS:
        MANAGERS[loop] = loop.create_future()
        holding = loop.create_task(hold_manager(MANAGERS[loop]))
        HOLDING.add(holding)
        holding.add_done_callback(partial(release_manager, loop))
    return await asyncio.shield(MANAGERS[loop])


async def hold_manager(ready: "asyncio.Future[StreamableHTTPSessionManager]") -> None:
    # The size of a body was limited when it was received.
    manager = StreamableHTTPSessionManager(
        app=SERVER, json_response=True, stateless=True, max_request_body_size=sys.maxsize
    )
    async with manager.run():
        ready.set_result(manager)
        await asyncio.Event().wait()


def release_manager(loop: asyncio.AbstractEventLoop, holding: "asyncio.Task[None]") -> None:
    """The next request opens another one."""
    HOLDING.discard(holding)
    MANAGERS.pop(loop, None)


MANAGERS: WeakKeyDictionary[asyncio.AbstractEventLoop, "asyncio.Future[StreamableHTTPSessionManager]"] = (
    WeakKeyDictionary()
)
HOLDING: set["asyncio.Task[None]"] = set()


def read_call(ctx: Context) -> ToolCall:
    """The caller was resolved before the message was received. The package may answer in another task."""
    request = ctx.request
    assert request is not None
    request_id.set(request.state.request_id)
    current_actor.set(request.state.caller.actor)
    resources = request.app.state.resources
    return ToolCall(request, resources, request.state.caller, ConnectionDefaults.read(request.headers))


# ---------------------------------------------------------------- tools


async def list_tools(ctx: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    """Without those that the caller lacks the scope for."""
    scopes = read_call(ctx).caller.scopes
    return types.ListToolsResult(
        tools=[each for name, each in DESCRIBED.items() if TOOLS_BY_NAME[name].scope in scopes]
    )


async def call_tool(
    ctx: Context, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    tool = TOOLS_BY_NAME.get(params.name)
    if tool is None:
        raise MCPError(code=types.INVALID_PARAMS, message="There is no such tool. See tools/list.")
    arguments = dict(params.arguments or {})
    if params.request_state is not None:
        confirmed = read_confirmation(params)
        if confirmed is None:
            return tool_result({"status": "CANCELLED", "message": "Nothing was changed: the person did not confirm."})
        arguments |= confirmed
    try:
        result = await tool.call(read_call(ctx), arguments)
    except AppError as error:
        return await tool_error(error)
    except SQLAlchemyError as error:
        return await tool_error(report_database_error(error))
    except Exception as error:  # the last resort: older protocol versions would send its message to the client
        log.error("request.failed", exc_info=error)
        return await tool_error(AppError(INTERNAL_ERROR))
    if isinstance(result, NeedsConfirmation):
        return ask_to_confirm(ctx, result)
    return tool_result(result)


def tool_result(result: JsonObject | bytes, *, is_error: bool = False) -> types.CallToolResult:
    """JSON as text. Structured content besides would say the same again, and cost half a millisecond for a list."""
    text = result if isinstance(result, bytes) else to_json(result)
    content: list[types.ContentBlock] = [types.TextContent(type="text", text=text.decode())]
    return types.CallToolResult(content=content, is_error=is_error)


async def tool_error(error: AppError) -> types.CallToolResult:
    """Models read it and can correct their call, which they cannot after an error of the protocol."""
    if isinstance(error, TooCostly):
        await asyncio.sleep(error.delay_seconds)
    body = {"detail": error.detail, "code": error.reason, "request_id": request_id.get()}
    return tool_result(body, is_error=True)


def ask_to_confirm(ctx: Context, asked: NeedsConfirmation) -> types.CallToolResult | types.InputRequiredResult:
    """By a form of the client where it has them; otherwise the model asks, and sends the token."""
    capabilities = ctx.session.client_capabilities
    if (
        ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        and capabilities is not None
        and capabilities.elicitation is not None
    ):
        form = types.ElicitRequestFormParams(message=asked.message, requested_schema=CONFIRMATION_FORM)
        return types.InputRequiredResult(
            input_requests={CONFIRMATION: types.ElicitRequest(params=form)}, request_state=asked.token
        )
    return tool_result(
        {
            "status": "CONFIRMATION_REQUIRED",
            "message": asked.message + HOW_TO_CONFIRM,
            **asked.details,
            "confirmation_token": asked.token,
        }
    )


def read_confirmation(params: types.CallToolRequestParams) -> JsonObject | None:
    """The arguments that a confirmed form adds to the call; None if the person did not confirm."""
    answer = (params.input_responses or {}).get(CONFIRMATION)
    if not isinstance(answer, types.ElicitResult):
        raise MCPError(code=types.INVALID_PARAMS, message=f"`inputResponses` lacks the answer `{CONFIRMATION}`.")
    if answer.action != "accept" or not (answer.content or {}).get("confirm"):
        return None
    delete_messages = bool((answer.content or {}).get("delete_messages"))
    return {"confirmation_token": params.request_state, "delete_messages": delete_messages}


# ---------------------------------------------------------------- resources and prompts


async def list_known_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    try:
        listed, cursor = await list_resources(read_call(ctx), params.cursor if params else None)
    except (AppError, SQLAlchemyError) as error:
        raise protocol_error(error) from None
    return types.ListResourcesResult(
        resources=[
            types.Resource(uri=each.uri, name=each.name, description=each.description, mime_type="application/json")
            for each in listed
        ],
        next_cursor=cursor,
    )


async def list_templates(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(resource_templates=TEMPLATES)


async def read_known_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    try:
        text = (await read_resource(read_call(ctx), str(params.uri))).decode()
    except (AppError, SQLAlchemyError) as error:
        raise protocol_error(error) from None
    contents = types.TextResourceContents(uri=params.uri, text=text, mime_type="application/json")
    return types.ReadResourceResult(contents=[contents])


def protocol_error(error: AppError | SQLAlchemyError) -> MCPError:
    known = error if isinstance(error, AppError) else report_database_error(error)
    code = types.INTERNAL_ERROR if known.status >= 500 else types.INVALID_PARAMS
    return MCPError(code=code, message=known.detail, data={"code": known.reason, "request_id": request_id.get()})


async def list_prompts(_: Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    return types.ListPromptsResult(
        prompts=[types.Prompt(name="memory_assistant", description="How an assistant uses the memory tools.")]
    )


async def get_prompt(_: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    if params.name != "memory_assistant":
        raise MCPError(code=types.INVALID_PARAMS, message="There is no such prompt. See prompts/list.")
    text = types.TextContent(type="text", text=MEMORY_ASSISTANT)
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text)])


# ---------------------------------------------------------------- what does not change


DESCRIBED: Mapping[str, types.Tool] = {
    tool.name: types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema,
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.reads_only or tool.idempotent,
            open_world_hint=False,
        ),
    )
    for tool in TOOLS
}
TEMPLATES = [
    types.ResourceTemplate(
        uri_template=kind.template, name=kind.name, description=kind.description, mime_type="application/json"
    )
    for kind in KINDS
]


def create_server() -> Server[Any]:
    server: Server[Any] = Server(
        "keepsake",
        title="Keepsake",
        version=VERSION,
        instructions=INSTRUCTIONS,
        # No schema has an argument that a header repeats (`x-mcp-header`), so there is nothing to compare.
        get_tool_input_schema=lambda _: None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_known_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_known_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )
    # A span for each message would repeat names of tools beside the trace of the request.
    server.middleware.clear()
    return server


SERVER = create_server()
