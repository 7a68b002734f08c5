"""Ask the language model for the summary of some episodes. The answer is used whole or not at all.

The model writes sentences and names the episodes of each by number, so that each sentence is compared with what it was
made from, and no episode is left out unseen.
"""

from collections.abc import Collection
from enum import StrEnum
from uuid import UUID

from app.core.ports import ChatMessage, ModelOptions, Role
from app.core.resources import Resources
from app.core.storable_text import clean_text, is_blank
from app.core.text.fenced_text import DATA_INSTRUCTIONS, MEMORIES, Fence, plain_line
from app.core.text.json_answers import read_json_object
from app.memory.summaries.episodes import Episode, Group
from app.memory.summaries.grounding import is_grounded
from app.projects.token_usage import ask_model

MAX_SHARE, MIN_ALLOWED, MAX_ALLOWED = 0.7, 300, 3_000
"""Characters of a summary: a share of those of its episodes, and limits for few and for many of them."""
MAX_TOKENS = 2_000
SPEAKERS = {Role.USER: "a person, called the user", Role.ASSISTANT: "an assistant, called the assistant"}
TASK = (
    "Summarize old messages of {speaker}, so that the summary can stand for them in a memory. The messages are numbered"
    " and dated. Write a few short sentences with everything that may matter later: facts, events, plans, decisions,"
    " preferences. Join messages about the same thing.\n"
    "- Write in the language of the messages and in the third person, for example: The user …\n"
    "- Say only what the messages say. Copy names and numbers exactly as they are written. Write dates as they are"
    " given, such as 2026-05-01, and only where they matter.\n"
    "- Name for each sentence the messages that it was made from. Each message belongs to at least one sentence, or,"
    " if it says nothing that may matter later, to nothing.\n"
    'Answer with JSON only: {{"sentences": [{{"text": "…", "from": [1, 2]}}], "nothing": [3]}}'
)


class Flaw(StrEnum):
    """Why an answer must have no effect."""

    UNREADABLE = "unreadable_answer"
    EMPTY = "empty_answer"
    UNKNOWN_EPISODE = "unknown_episode"
    LEFT_OUT = "episode_left_out"
    TOO_LONG = "too_long"
    INVENTED = "invented_content"


class UnusableSummary(Exception):
    """The model answered, but the answer must have no effect. The reason contains none of its words."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


async def ask_for_summary(resources: Resources, project_id: UUID, group: Group) -> str:
    """No transaction is open while the model answers. Raises UnusableSummary, or what calling the model raises."""
    options = ModelOptions(temperature=0, max_tokens=MAX_TOKENS)
    return read_summary(await ask_model(resources, project_id, question(group), options), group)


def question(group: Group) -> list[ChatMessage]:
    task = TASK.format(speaker=SPEAKERS.get(Role(group[0].role), SPEAKERS[Role.USER]))
    lines = [f"{number}. [{_day(each)}] {plain_line(each.content)}" for number, each in enumerate(group, 1)]
    data = Fence().enclose(MEMORIES, lines)
    return [ChatMessage(Role.SYSTEM, f"{task}\n{DATA_INSTRUCTIONS}"), ChatMessage(Role.USER, data)]


def read_summary(answer: str, group: Group) -> str:
    parsed = _parse(answer)
    numbers, sentences = set(_integers(parsed.get("nothing", []))), list[str]()
    for entry in _list(parsed.get("sentences")):
        text, sources = _sentence(entry)
        _check_numbers(sources, group)
        if not is_grounded(text, [f"{_day(group[each - 1])} {group[each - 1].content}" for each in sources]):
            raise UnusableSummary(Flaw.INVENTED)
        sentences.append(text)
        numbers |= set(sources)
    _check_numbers(numbers, group)
    if not sentences:
        raise UnusableSummary(Flaw.EMPTY)
    if len(numbers) < len(group):
        raise UnusableSummary(Flaw.LEFT_OUT)
    return _checked_length("\n".join(sentences), group)


def _day(episode: Episode) -> str:
    return f"{episode.created_at:%Y-%m-%d}"


def _parse(answer: str) -> dict[str, object]:
    parsed = read_json_object(answer)
    if parsed is None:
        raise UnusableSummary(Flaw.UNREADABLE)
    return parsed


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise UnusableSummary(Flaw.UNREADABLE)
    return value


def _integers(value: object) -> list[int]:
    found = [each for each in _list(value) if type(each) is int]
    if len(found) < len(_list(value)):
        raise UnusableSummary(Flaw.UNREADABLE)
    return found


def _sentence(entry: object) -> tuple[str, list[int]]:
    text = entry.get("text") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(text, str):
        raise UnusableSummary(Flaw.UNREADABLE)
    sources = _integers(entry.get("from"))
    text = plain_line(clean_text(text))
    if is_blank(text) or not sources:
        raise UnusableSummary(Flaw.EMPTY)
    return text, sources


def _check_numbers(numbers: Collection[int], group: Group) -> None:
    if not all(1 <= each <= len(group) for each in numbers):
        raise UnusableSummary(Flaw.UNKNOWN_EPISODE)


def _checked_length(summary: str, group: Group) -> str:
    allowed = MAX_SHARE * sum(len(each.content) for each in group)
    if len(summary) > min(MAX_ALLOWED, max(MIN_ALLOWED, allowed)):
        raise UnusableSummary(Flaw.TOO_LONG)
    return summary
