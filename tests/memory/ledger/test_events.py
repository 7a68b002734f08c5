"""The JSON in `events.request`, as it is written now and as earlier releases wrote it."""

import datetime as dt
import json
import uuid

from app.memory.ledger import CallInstructions, EventRequest
from app.memory.origin import Origin

PROFILE_ID, MESSAGE_ID = uuid.uuid4(), uuid.uuid4()
STORED_WITH_NULLS = {
    "profile_id": str(PROFILE_ID),
    "agent_id": None,
    "app_id": None,
    "run_id": "r",
    "metadata": {"a": [1, None]},
    "instructions": {"own": ""},
    "expires_on": "2999-01-01",
    "immutable": False,
    "said_at": "2024-05-01T12:00:00+00:00",
    "source_message_id": str(MESSAGE_ID),
}
REQUEST = EventRequest(
    profile_id=PROFILE_ID,
    run_id="r",
    metadata={"a": [1, None]},
    instructions=CallInstructions(own=""),
    expires_on=dt.date(2999, 1, 1),
    said_at=dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC),
    source_message_id=MESSAGE_ID,
)


def test_request_of_an_earlier_release_is_read() -> None:
    assert EventRequest.model_validate(STORED_WITH_NULLS) == REQUEST


def test_request_is_written_as_before_without_defaults() -> None:
    stored = json.loads(REQUEST.as_json())
    assert stored.pop("said_at") == "2024-05-01T12:00:00Z"
    defaults = ("agent_id", "app_id", "immutable", "said_at")
    assert stored == {name: value for name, value in STORED_WITH_NULLS.items() if name not in defaults}
    assert EventRequest().as_json() == "{}"


def test_request_has_the_origin_of_its_memories() -> None:
    assert REQUEST.origin("ann") == Origin(user_id="ann", run_id="r")
