"""Which replacements are possible. Pure: the rows are read and locked by the caller."""

import datetime as dt
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from app.memory.ledger import Kind


@dataclass(frozen=True, slots=True)
class Replacement:
    old_id: UUID
    new_id: UUID
    at: dt.datetime | None = None
    """Since when the new memory is true instead of the old one. None means since the new one was created."""
    is_duplicate: bool = False
    """Both say the same. So the sources of the old memory are sources of the new one."""
    old_hash: bytes | None = None
    """Of the text that was compared. None: whatever the memory says."""
    new_hash: bytes | None = None


class ReplacementOutcome(StrEnum):
    SUPERSEDED = "superseded"
    UNCHANGED = "unchanged"
    """The new memory has replaced the old one already."""
    ALREADY_SUPERSEDED = "already_superseded"
    """Another memory has replaced the old one. The first replacement stays."""
    UNDONE = "undone"
    """This replacement was undone by a request, and is not repeated."""
    NOT_FOUND = "not_found"
    """One of the two does not exist, or is a message of the conversation store."""
    OTHER_NAMESPACE = "other_namespace"
    IMMUTABLE = "immutable"
    """An immutable memory can replace another one, and is never replaced."""
    CHANGED = "changed"
    """One of the two says something else than what was compared."""
    CYCLE = "cycle"
    """The old memory has replaced the new one, directly or through others."""


class ReplaceableRow(NamedTuple):
    """What a decision reads of a memory."""

    id: UUID
    namespace: str
    kind: str
    immutable: bool
    replaced_by: UUID | None
    coexists_with: Collection[UUID] | None
    created_at: dt.datetime
    hash: bytes = b""


def decide_replacement(
    replacement: Replacement,
    rows: Mapping[UUID, ReplaceableRow],
    successors: MutableMapping[UUID, UUID],
    *,
    even_if_undone: bool = False,
) -> ReplacementOutcome:
    """`successors` has the memory that replaced each of those that matter. A replacement that is possible is added."""
    old, new = rows.get(replacement.old_id), rows.get(replacement.new_id)
    if old is None or new is None or Kind.MESSAGE in (old.kind, new.kind):
        return ReplacementOutcome.NOT_FOUND
    if replacement.old_hash not in (None, old.hash) or replacement.new_hash not in (None, new.hash):
        return ReplacementOutcome.CHANGED
    outcome = _refuse(old, new, successors, even_if_undone=even_if_undone)
    if outcome is None:
        successors[old.id] = new.id
    return outcome or ReplacementOutcome.SUPERSEDED


def _refuse(
    old: ReplaceableRow, new: ReplaceableRow, successors: Mapping[UUID, UUID], *, even_if_undone: bool
) -> ReplacementOutcome | None:
    if old.namespace != new.namespace:
        return ReplacementOutcome.OTHER_NAMESPACE
    if old.id in successors:
        same = successors[old.id] == new.id
        return ReplacementOutcome.UNCHANGED if same else ReplacementOutcome.ALREADY_SUPERSEDED
    if old.immutable:
        return ReplacementOutcome.IMMUTABLE
    if new.id in (old.coexists_with or ()) and not even_if_undone:
        return ReplacementOutcome.UNDONE
    return ReplacementOutcome.CYCLE if _leads_to(old.id, new.id, successors) else None


def _leads_to(end: UUID, start: UUID, successors: Mapping[UUID, UUID]) -> bool:
    passed: set[UUID] = set()
    current: UUID | None = start
    while current is not None and current not in passed:
        if current == end:
            return True
        passed.add(current)
        current = successors.get(current)
    return False
