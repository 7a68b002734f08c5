"""Old episodes, and what a good model makes of them."""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.core.resources import Resources
from app.memory.ledger import Kind, NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.model_server import Summary

TRIP = (
    "I met Ines in Porto",
    "Ines lent me 40 euros",
    "I paid the 40 euros back",
    "My train to Faro was late",
    "We ate sardines in Faro",
)
SENTENCES = (
    ("The user met Ines in Porto, who lent the user 40 euros and got the 40 euros back.", [1, 2, 3]),
    ("The train of the user to Faro was late, and they ate sardines in Faro.", [4, 5]),
)
GOOD = Summary(*SENTENCES)
SUMMARY = "\n".join(text for text, _ in SENTENCES)
LONG_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=100)


async def add_episodes(
    resources: Resources,
    namespace: Namespace,
    texts: Sequence[str] = TRIP,
    *,
    at: dt.datetime = LONG_AGO,
    **values: Any,
) -> list[UUID]:
    """A minute apart."""
    new = [
        NewMemory(each, kind=Kind.EPISODE, created_at=at + dt.timedelta(minutes=minute), **values)
        for minute, each in enumerate(texts)
    ]
    return [each.id for each in (await remember(resources, namespace, new, deduplicate=False)).results]
