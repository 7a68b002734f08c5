"""What a language model answers to mem0's prompt, as parsed JSON."""

import json

from app.core.storable_text import clean_text, is_blank


class UnusableAnswer(Exception):
    """The model answered, but not with an extraction. One retry may help."""


def read_facts(parsed: object) -> list[dict[str, str]]:
    memories = parsed.get("memory") if isinstance(parsed, dict) else None
    if not isinstance(memories, list):
        raise UnusableAnswer("The language model's JSON contains no list of memories.")
    facts = [fact for fact in map(_parse_fact, memories) if fact]
    if memories and not facts:
        raise UnusableAnswer("The language model's list of memories contains no text.")
    return facts


def _parse_fact(memory: object) -> dict[str, str] | None:
    """Small models may write a plain string instead of an object."""
    written = memory.get("text") if isinstance(memory, dict) else memory
    text = clean_text(written).strip() if isinstance(written, str) else ""
    if is_blank(text):
        return None
    speaker = memory.get("attributed_to") if isinstance(memory, dict) else None
    fact = {"text": text, "attributed_to": speaker if speaker in ("user", "assistant") else "user"}
    if isinstance(memory, dict) and "source" in memory:
        fact["source"] = str(memory["source"])
    if isinstance(memory, dict) and memory.get("standing") is True and fact["attributed_to"] == "user":
        fact["standing"] = "true"
    return fact


def parse_sources(facts: str, known: set[int]) -> dict[str, int]:
    """By the text of each fact. Without numbers that no conversation has."""
    given = {fact["text"]: str(fact.get("source", "")).strip("[] ") for fact in json.loads(facts)["memory"]}
    return {text: int(source) for text, source in given.items() if source.isdecimal() and int(source) in known}


def parse_standing(facts: str) -> frozenset[str]:
    """The texts of the facts that the model calls standing."""
    return frozenset(fact["text"] for fact in json.loads(facts)["memory"] if "standing" in fact)
