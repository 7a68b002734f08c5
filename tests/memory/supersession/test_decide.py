"""The decision, without a database."""

import datetime as dt
import uuid
from uuid import UUID

import pytest

from app.memory.supersession.decide import ReplaceableRow, Replacement, ReplacementOutcome, decide_replacement

OLD, NEW, OTHER = (uuid.UUID(int=number) for number in (1, 2, 3))
NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
FACT = ReplaceableRow(OLD, "n", "fact", False, None, None, NOON)


def decide(rows: tuple[ReplaceableRow, ReplaceableRow], links: dict[str, UUID], **values: bool) -> ReplacementOutcome:
    successors = {{"old": OLD, "new": NEW, "other": OTHER}[name]: each for name, each in links.items()}
    return decide_replacement(Replacement(OLD, NEW), {each.id: each for each in rows}, successors, **values)


@pytest.mark.parametrize(
    ("old", "new", "successors", "outcome"),
    [
        pytest.param({}, {}, {}, "superseded", id="possible"),
        pytest.param({}, {"immutable": True}, {}, "superseded", id="new-immutable"),
        pytest.param({"immutable": True}, {}, {}, "immutable", id="old-immutable"),
        pytest.param({"kind": "message"}, {}, {}, "not_found", id="message"),
        pytest.param({}, {"kind": "message"}, {}, "not_found", id="by-message"),
        pytest.param({}, {"namespace": "m"}, {}, "other_namespace", id="other-namespace"),
        pytest.param({}, {}, {"old": NEW}, "unchanged", id="again"),
        pytest.param({}, {}, {"old": OTHER}, "already_superseded", id="by-another"),
        pytest.param({}, {}, {"new": OLD}, "cycle", id="cycle-of-two"),
        pytest.param({}, {}, {"new": OTHER, "other": OLD}, "cycle", id="cycle-of-three"),
        pytest.param({}, {}, {"new": OTHER, "other": NEW}, "superseded", id="cycle-elsewhere"),
        pytest.param({"coexists_with": [NEW]}, {}, {}, "undone", id="undone"),
        pytest.param({"coexists_with": [OTHER]}, {}, {}, "superseded", id="another-undone"),
    ],
)
def test_decision(old: dict[str, object], new: dict[str, object], successors: dict[str, UUID], outcome: str) -> None:
    rows = FACT._replace(**old), FACT._replace(id=NEW, **new)  # type: ignore[arg-type]
    assert decide(rows, successors) == outcome


def test_undone_replacement_is_made_on_request_and_memory_replaces_itself_never() -> None:
    undone = FACT._replace(coexists_with=[NEW])
    assert decide((undone, FACT._replace(id=NEW)), {}, even_if_undone=True) == "superseded"
    assert decide_replacement(Replacement(OLD, OLD), {OLD: FACT}, {}) == "cycle"


def test_memory_that_changed_since_it_was_compared_is_not_replaced() -> None:
    rows = {OLD: FACT._replace(hash=b"1"), NEW: FACT._replace(id=NEW, hash=b"2")}
    for old_hash, new_hash, outcome in ((b"1", b"2", "superseded"), (b"0", b"2", "changed"), (b"1", b"0", "changed")):
        assert decide_replacement(Replacement(OLD, NEW, old_hash=old_hash, new_hash=new_hash), rows, {}) == outcome


def test_missing_memory_is_not_found() -> None:
    assert decide_replacement(Replacement(OLD, NEW), {OLD: FACT}, {}) == "not_found"
    assert decide_replacement(Replacement(OLD, NEW), {NEW: FACT}, {}) == "not_found"
