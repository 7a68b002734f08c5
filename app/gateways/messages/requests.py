"""From a request and its caller to a message of the engine."""

import uuid

from app.core.resources import Resources
from app.gateways.messages.schemas import MessageCreate
from app.identity.caller import Caller
from app.memory.edit import Owner
from app.memory.messages import MessageDraft


def owner_of(caller: Caller) -> Owner:
    return Owner(caller.project_id, caller.user_id)


def choose_user(caller: Caller, user_id: str | None) -> str | None:
    """An API key may leave the user out. An account acts for itself unless it may name another user."""
    return caller.act_for(user_id) if user_id is not None or caller.account_id is not None else None


def as_draft(resources: Resources, caller: Caller, body: MessageCreate, idempotency_key: str | None) -> MessageDraft:
    values = {name: getattr(body, name) for name in MessageCreate.model_fields}
    draft = MessageDraft(**{**values, "user_id": choose_user(caller, body.user_id)}, id=uuid.uuid4())
    return draft.repeatable(resources.key_pepper, caller.project_id, idempotency_key) if idempotency_key else draft
