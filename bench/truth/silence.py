"""Nothing where nothing was told: questions about one person's life, put to the memories of another one."""

import asyncio
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from bench.conversations import Conversation
from bench.truth.service import Figures, Service
from bench.truth.sets import AT, Told, load_locomo, tell_episodes, tell_facts

SAMPLE = 40
"""Questions of each conversation, of either sort."""
NEVER_TOLD = (
    "What is my blood type?",
    "Which football club do I support?",
    "What is the name of my dentist?",
    "What was my first car?",
    "How do I take my coffee?",
    "Which languages do I speak?",
    "What is my shoe size?",
    "What does my brother do for a living?",
    "Where did I go to school?",
    "What is my favourite film?",
    "What is the licence plate of my car?",
    "Which mobile phone do I use?",
)
"""Put to conversations between two named people, who never speak of these things."""


async def measure_silence(service: Service, data: Path) -> Figures:
    conversations = load_locomo(data)
    figures: Figures = {}
    for name, tell in (("episodes", tell_episodes), ("facts", tell_facts)):
        told = [await tell(service, each) for each in conversations]
        for each in told:
            await service.wait_until_indexed(each.user_id)
        kept, silent, generic = [], [], []
        for place, each in enumerate(told):
            own = _sample(conversations[place])
            others = [
                question
                for other in conversations
                if are_strangers(other, conversations[place])
                for question in _sample(other)
            ]
            kept += await _answered(service, each, own)
            silent += await _answered(service, each, random.Random(place).sample(others, SAMPLE))
            generic += await _answered(service, each, NEVER_TOLD)
        figures[name] = {
            "answerable kept": round(statistics.mean(kept), 4),
            "silent for another person's questions": round(1 - statistics.mean(silent), 4),
            "silent for questions never told": round(1 - statistics.mean(generic), 4),
        }
    return figures


def are_strangers(one: Conversation, other: Conversation) -> bool:
    return not speakers(one) & speakers(other)


def speakers(conversation: Conversation) -> set[str]:
    return {turn["speaker"] for turn in conversation["turns"]}


def _sample(conversation: Conversation) -> list[str]:
    questions = [each["question"] for each in conversation["questions"]]
    return random.Random(conversation["id"]).sample(questions, SAMPLE)


async def _answered(service: Service, told: Told, questions: Sequence[str]) -> list[bool]:
    answers = await asyncio.gather(*(service.search(told.user_id, each, top_k=AT) for each in questions))
    return [bool(each.results) for each in answers]
