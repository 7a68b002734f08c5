"""The tool `forget`: it finds what is meant, has a person confirm it, and deletes it then."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from app.chat.forget import ForgetReply, ask_what_to_forget, forget_confirmed
from app.chat.types import ConfirmedForgetting
from app.core.errors import BadRequest
from app.core.text.forget_requests import ForgetRequest, read_forget_request
from app.gateways.mcp.arguments import ForgetArguments
from app.gateways.mcp.call import ToolCall
from app.gateways.mcp.confirmation import VALID_SECONDS, Confirmations, DeletionStatement
from app.gateways.mcp.tool import AnyTool, NeedsConfirmation, Tool, ToolResult
from app.gateways.mem0.responses import JsonObject
from app.identity.scopes import Scope
from app.identity.transaction import caller_transaction
from app.memory.ledger import Memory, MemoryRepository
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository
from app.sessions.privacy import PrivacyPolicy

NOT_UNDERSTOOD = (
    "`what` does not say what to forget. Send a thing or a statement, such as `that I like tea`, `everything about my"
    " job` or `everything`; exceptions are not understood."
)
CHANGED = (
    "A memory was changed after the person was asked. Call the tool again without the confirmation, and confirm its new"
    " answer."
)
USED = "This confirmation was used already. Call the tool again without it, and confirm its new answer."


@dataclass(frozen=True, slots=True)
class ForgetCall:
    account_id: UUID | None
    namespace: Namespace
    policy: PrivacyPolicy
    confirmed: ConfirmedForgetting | None = None
    session_id: UUID | None = None


async def forget(call: ToolCall, given: ForgetArguments) -> ToolResult:
    _, policy = await call.privacy(given)
    namespace = await _namespace(call, given)
    confirmations = Confirmations(call.resources.key_pepper)
    if given.confirmation_token is None:
        request = _read_request(given.what)
        asked = await ask_what_to_forget(call.resources, ForgetCall(call.caller.account_id, namespace, policy), request)
        return _ask(call, namespace, asked, confirmations)
    statement = confirmations.verify(given.confirmation_token, caller=call.caller.name, namespace=str(namespace))
    if statement.all is not None:
        await _use_once(call, given.confirmation_token)
    await _require_unchanged(call, namespace, statement, confirmations)
    confirmed = ConfirmedForgetting(statement.ids, statement.all, given.delete_messages)
    reply = await forget_confirmed(call.resources, ForgetCall(call.caller.account_id, namespace, policy, confirmed))
    return {"status": "DELETED", "message": reply.answer, "deleted_ids": reply.forgotten}


async def _use_once(call: ToolCall, token: str) -> None:
    """A second use would delete what was remembered since the person agreed."""
    short_term, key = call.resources.short_term, f"mcp:confirmed:{hashlib.sha256(token.encode()).hexdigest()}"
    if await short_term.get(key) is not None:
        raise BadRequest(USED, code="confirmation_invalid")
    await short_term.set(key, b"1", VALID_SECONDS, tenant=str(call.caller.project_id))


async def _require_unchanged(
    call: ToolCall, namespace: Namespace, statement: DeletionStatement, confirmations: Confirmations
) -> None:
    """The person has not agreed to delete what a memory says now. One that is gone needs no agreement."""
    shown = dict(zip(statement.ids, statement.texts, strict=False))
    async with caller_transaction(call.resources.database, call.caller) as tx:
        repository = MemoryRepository(tx, call.caller.project_id, namespace.user_id)
        rows = await repository.find_all(statement.ids, Memory.namespace == str(namespace))
    if any(shown.get(row.id) != confirmations.digest_text(row.content) for row in rows):
        raise BadRequest(CHANGED, code="confirmation_invalid")


async def _namespace(call: ToolCall, given: ForgetArguments) -> Namespace:
    user_id = call.user(given.user_id)
    async with caller_transaction(call.resources.database, call.caller) as tx:
        profiles = ProfileRepository(tx, call.caller.project_id)
        profile = await profiles.of_user(user_id, given.profile_id or call.defaults.profile_id)
    return Namespace(call.caller.project_id, user_id, profile.id)


def _read_request(what: str) -> ForgetRequest:
    request = read_forget_request(what) or read_forget_request(f"forget {what}")
    if request is None:
        raise BadRequest(NOT_UNDERSTOOD)
    return request


def _ask(call: ToolCall, namespace: Namespace, asked: ForgetReply, confirmations: Confirmations) -> ToolResult:
    question = asked.question
    if question is None:
        return {
            "status": "NOTHING_TO_DELETE",
            "message": asked.answer,
            "memories": [],
            "by_meaning": asked.by_meaning,
        }
    named = [] if question.all else question.memories
    statement = DeletionStatement(
        caller=call.caller.name,
        namespace=str(namespace),
        ids=tuple(memory.id for memory in named),
        texts=tuple(confirmations.digest_text(memory.memory) for memory in named),
        all=question.all,
    )
    details: JsonObject = {
        "count": question.count,
        "messages": question.messages,
        "by_meaning": asked.by_meaning,
        "memories": [{"id": memory.id, "memory": memory.memory} for memory in question.memories],
    }
    return NeedsConfirmation(asked.answer, confirmations.sign(statement), details)


FORGET_TOOLS: tuple[AnyTool, ...] = (
    Tool(
        "forget",
        "Forget something",
        "Finds the memories that a person wants to be forgotten, in their words, and deletes them permanently once the"
        " person has confirmed. The first answer lists them; nothing is deleted before the confirmation.",
        ForgetArguments,
        Scope.MEMORIES_WRITE,
        forget,
        destructive=True,
        idempotent=True,
    ),
)
