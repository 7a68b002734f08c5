"""The query parameters of lists and searches of messages."""

import datetime as dt
import math
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator, StringConstraints

from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.storable_text import no_nul
from app.gateways.messages.requests import choose_user
from app.gateways.messages.schemas import Name
from app.identity.caller import CallerDep
from app.memory.filters import Filter, parse_filters, parse_moment, parse_object_text
from app.memory.messages import MessageFilter, ScoreWeights

TenantId = Annotated[
    Name | None,
    Query(description="The tenant that the messages belong to. Without it, those without a tenant."),
]
ConversationId = Annotated[Name | None, Query()]
UserId = Annotated[Name | None, Query(description="Only messages of this user. Defaults to yourself with an account.")]
RoleName = Annotated[Role | None, Query()]
StartDate = Annotated[
    str | None, Query(max_length=40, description="Said at this time or later: 2026-01-31, or 2026-01-31T09:30:00Z.")
]
EndDate = Annotated[str | None, Query(max_length=40, description="Said at this time, or on this day, or earlier.")]
AsOf = Annotated[
    str | None,
    Query(
        max_length=40, description="Find nothing that was said later, and measure recency from then. Defaults to now."
    ),
]
MetadataText = Annotated[
    str | None, Query(max_length=20_000, description='A JSON object that the metadata must contain: {"topic": "food"}.')
]
ImportanceMin = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)]
WeightsText = Annotated[
    str | None,
    Query(
        max_length=500,
        description='A JSON object. The default is {"similarity": 0.6, "importance": 0.3, "recency": 0.1}.'
        " A weight that is left out is 0.",
    ),
]
QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000),
    AfterValidator(no_nul),
    Query(description="What to look for."),
]
PARTS = ("similarity", "importance", "recency")


def read_moment(text: str | None, name: str, *, end: bool = False) -> dt.datetime | None:
    """A date is the whole day in UTC."""
    if text is None:
        return None
    try:
        moment = parse_moment(text)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"`{name}` must be a date such as 2026-01-31, or a time such as 2026-01-31T09:30:00Z."
        ) from None
    if isinstance(moment, dt.datetime):
        return moment
    return dt.datetime.combine(moment, dt.time.max if end else dt.time.min, dt.UTC)


def read_metadata(text: str | None) -> Filter | None:
    return None if text is None else parse_filters({"metadata": parse_object_text(text, "metadata")})


def read_filter(
    caller: CallerDep,
    conversation_id: ConversationId = None,
    user_id: UserId = None,
    role: RoleName = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    metadata: MetadataText = None,
    importance_min: ImportanceMin = None,
) -> MessageFilter:
    return MessageFilter(
        conversation_id=conversation_id,
        user_id=choose_user(caller, user_id),
        role=role,
        since=read_moment(start_date, "start_date"),
        until=read_moment(end_date, "end_date", end=True),
        metadata=read_metadata(metadata),
        importance_min=importance_min,
    )


WantedMessages = Annotated[MessageFilter, Depends(read_filter)]


def read_weights(text: str | None) -> ScoreWeights:
    if text is None:
        return ScoreWeights()
    given = parse_object_text(text, "weights")
    if not isinstance(given, dict) or not given or not given.keys() <= set(PARTS):
        raise BadRequest(f"`weights` must be a JSON object with {', '.join(PARTS)} or some of them.")
    weights = {name: _weight(given.get(name, 0)) for name in PARTS}
    if not sum(weights.values()):
        raise BadRequest("At least one of `weights` must be larger than 0.")
    return ScoreWeights(**weights)


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1000 or math.isnan(value):
        raise BadRequest("Each of `weights` must be a number from 0 to 1000. Only their proportions count.")
    return float(value)
