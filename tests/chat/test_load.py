"""A hundred conversations at once, with a slow model that fails now and then. Takes minutes."""

import asyncio

import pytest

from bench.chat import run

CONVERSATIONS, TURNS = 100, 20


@pytest.mark.long
async def test_under_load_no_turn_is_lost_or_mixed_up_and_memory_stays_flat() -> None:
    figures = await asyncio.to_thread(run, CONVERSATIONS, TURNS)
    assert (figures.lost, figures.mixed_up) == (0, 0)
    assert len(figures.overheads) == CONVERSATIONS * TURNS
    half = figures.memory[len(figures.memory) // 2 :]
    assert max(half) - min(half) < 100, "megabytes in the second half"
