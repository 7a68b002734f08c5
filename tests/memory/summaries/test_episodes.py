"""Which episodes share a summary."""

import datetime as dt
import uuid
from collections.abc import Iterator

from app.memory.summaries.episodes import MAX_EPISODES, MIN_EPISODES, Episode, group_episodes

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def episodes(
    count: int, *, run_id: str | None = None, day: int = 0, words: str = "tea", chat: bool = True
) -> Iterator[Episode]:
    for minute in range(count):
        yield Episode(
            id=uuid.uuid4(),
            user_id="ann",
            profile_id=None,
            agent_id=None,
            app_id=None,
            run_id=run_id,
            role="user",
            source=None,
            door=None,
            content=words,
            hash=b"",
            metadata="{}",
            categories=None,
            importance=None,
            is_of_chat=chat,
            created_at=NOON + dt.timedelta(days=day, minutes=minute),
        )


def runs(*given: Iterator[Episode]) -> list[list[str | None]]:
    return [[each.run_id for each in group] for group in group_episodes([each for some in given for each in some])]


def test_short_conversations_share_a_summary_and_long_ones_have_their_own() -> None:
    assert runs(episodes(2, run_id="a"), episodes(6, run_id="b", day=1), episodes(3, run_id="c", day=2)) == [
        ["a"] * 2 + ["c"] * 3,
        ["b"] * 6,
    ]
    assert runs(episodes(2, run_id="a", chat=False), episodes(3, run_id="b", chat=False)) == [], "of clients"


def test_summary_is_bounded_in_number_time_and_length() -> None:
    assert [len(group) for group in runs(episodes(MAX_EPISODES + 1))] == [16, 15]
    assert runs(episodes(3), episodes(MIN_EPISODES - 1, day=40)) == []
    assert [len(group) for group in runs(episodes(5), episodes(5, day=40))] == [5, 5]
    assert [len(group) for group in runs(episodes(14, words="x" * 1500))] == [8, 6]
    assert runs(episodes(5, words="x" * 2001)) == []
