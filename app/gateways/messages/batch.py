"""Up to a thousand messages, each with a result of its own."""

from collections.abc import Sequence

from pydantic import ValidationError

from app.core.errors import AppError
from app.core.http.error_responses import describe_invalid_value
from app.core.resources import Resources
from app.gateways.messages.requests import as_draft, owner_of
from app.gateways.messages.schemas import BatchResult, BatchResults, MessageBatch, MessageCreate, StoredMessageRead
from app.identity.caller import Caller
from app.memory.messages import MessageDraft, store_messages, store_once


async def store_batch(
    resources: Resources, caller: Caller, batch: MessageBatch, idempotency_key: str | None, *, wait: bool
) -> BatchResults:
    read = [_read(resources, caller, given, number, idempotency_key) for number, given in enumerate(batch.messages)]
    drafts = [each for each in read if isinstance(each, MessageDraft)]
    store = store_once if idempotency_key else store_messages
    stored = iter(await store(resources, owner_of(caller), drafts, wait=wait) if drafts else ())
    half_life = resources.config.recency_half_life_days
    results = [
        each
        if isinstance(each, BatchResult)
        else BatchResult(status="stored", message=StoredMessageRead.of(next(stored), half_life))
        for each in read
    ]
    return BatchResults(stored=len(drafts), refused=len(read) - len(drafts), results=results)


def _read(
    resources: Resources, caller: Caller, given: object, number: int, idempotency_key: str | None
) -> MessageDraft | BatchResult:
    """The message, or why it is refused."""
    try:
        body = MessageCreate.model_validate(given)
        return as_draft(resources, caller, body, f"{idempotency_key}:{number}" if idempotency_key else None)
    except ValidationError as error:
        return BatchResult(status="refused", error=_describe(error.errors()), code="invalid_request")
    except AppError as error:
        return BatchResult(status="refused", error=error.detail, code=error.reason)


def _describe(errors: Sequence[object]) -> str:
    first = errors[0]
    assert isinstance(first, dict)
    if first["type"] == "extra_forbidden":
        return f"Unknown field `{str(first['loc'][-1])[:60]}`. Leave it out."
    return describe_invalid_value(first)
