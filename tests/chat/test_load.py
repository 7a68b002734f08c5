"""A hundred concurrent conversations with a slow model that sometimes fails. Takes minutes."""

import asyncio

import pytest

from bench.chat import run

CONVERSATIONS, TURNS = 100, 20


@pytest.mark.long
async def test_load_loses_and_mixes_up_no_turn_and_keeps_memory_flat() -> None:
    figures = await asyncio.to_thread(run, CONVERSATIONS, TURNS)
    assert (figures.lost, figures.mixed_up) == (0, 0)
    assert len(figures.overheads) == CONVERSATIONS * TURNS
    half = figures.memory[len(figures.memory) // 2 :]
    assert max(half) - min(half) < 100, "megabytes in the second half"
