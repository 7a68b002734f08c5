"""The finer score compares a question with each sentence of a memory."""

import uuid
from typing import Any

import httpx
import pytest

from app.core.text.content_words import content_words
from app.memory.recall.rerank import MAX_SENTENCES, choose_sentences, closeness

LONG = (
    "The weather was fine on Monday. We went to the market and bought apples. The train was late again. "
    "My dentist is Okafor. My dentist works in Porto. Okafor is a good dentist. "
    "Later we cooked soup with leeks. The garden needs water. We watched a film about whales."
)
SHORT = "Dentists earn a lot of money"
QUESTION = "Who is my dentist?"


def test_long_text_is_compared_by_the_sentences_that_share_words_with_the_question() -> None:
    text = " ".join([*(f"This is sentence number {number}." for number in range(20)), "My dentist is Anna."])
    chosen = choose_sentences(text, content_words(QUESTION))
    assert (len(chosen), chosen[0].rstrip(".")) == (MAX_SENTENCES, "My dentist is Anna")


def test_only_the_nearest_sentences_count() -> None:
    assert closeness([0.9, -0.5, 0.8, 0.7, 0.0]) == pytest.approx(0.8)
    assert closeness([0.4]) == pytest.approx(0.4)


async def test_sentences_near_the_question_raise_a_long_memory(client: httpx.AsyncClient) -> None:
    user = uuid.uuid4().hex
    for text in (LONG, SHORT):
        await client.post("/v3/memories/add/", json={"messages": text, "user_id": user, "infer": False})

    async def search(**more: Any) -> list[dict[str, Any]]:
        body = {"query": QUESTION, "filters": {"user_id": user}, "threshold": 0, "explain": True, **more}
        found: list[dict[str, Any]] = (await client.post("/v3/memories/search/", json=body)).json()["results"]
        return found

    plain, finer = await search(), await search(rerank=True)
    gain = {row["id"]: row["score_breakdown"]["sentences"] for row in finer}
    long, short = (next(row["id"] for row in plain if row["memory"] == text) for text in (LONG, SHORT))
    assert gain[long] > 0 > gain[short]
    assert [row["score"] for row in finer] == sorted((row["score"] for row in finer), reverse=True)
    assert len(await search(rerank=True, top_k=1)) == 1
