"""Whether the prompt of a chat holds the instructions and preferences of a person: recalled, or standing."""

import asyncio
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.truth.service import Figures, Service
from bench.truth.sets import Told, load_json, tell_beam

KINDS = ("preference_following", "instruction_following")


async def measure_standing(service: Service, data: Path) -> Figures:
    conversations = load_json(data, "beam")
    told = [await tell_beam(service, each) for each in conversations]
    figures: Figures = {}
    for kind in KINDS:
        asked = [
            _ask(service, each, question)
            for each, conversation in zip(told, conversations, strict=True)
            for question in conversation["questions"]
            if question["kind"] == kind and question["evidence"]
        ]
        figures[f"{kind}, evidence in the prompt"] = round(statistics.mean(await asyncio.gather(*asked)), 4)
    return figures


async def _ask(service: Service, told: Told, question: Mapping[str, Any]) -> float:
    """`pause_memories`, so that the questions do not become memories themselves."""
    body = {"message": question["question"], "user_id": told.user_id, "privacy_mode": "pause_memories"}
    answer = await service.post("/v1/chat", body)
    in_prompt = {each["id"] for each in answer["standing"] + answer["recalled"]}
    turns = frozenset[str]().union(*(told.turns.get(each, frozenset()) for each in in_prompt))
    wanted = {str(each) for each in question["evidence"]}
    return len(wanted & turns) / len(wanted)
