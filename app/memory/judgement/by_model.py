"""Ask the language model what new facts mean for older memories: one question for all facts of an event.

The answer is used whole or not at all. What a model invents, contradicts or exaggerates has no effect, and the rules
decide instead.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.core.errors import AppError
from app.core.ports import ChatMessage, ModelOptions, Role
from app.core.resources import Resources
from app.core.text.fenced_text import DATA_INSTRUCTIONS, MEMORIES, Fence, plain_line
from app.core.text.json_answers import read_json_object
from app.memory.judgement.neighbours import Pair
from app.memory.judgement.rules import Verdict
from app.projects.token_usage import ask_model

MAX_PAIRS = 60
MAX_REPLACED = 3
"""One new fact replaces at most so many memories. A model that wants more has misunderstood the question."""
SUSPICIOUS_FROM = 4
"""From so many pairs on, an answer that replaces every older memory is not believed."""
MAX_CHARACTERS = 500
TASK = (
    "Compare new statements with older ones. For each pair that is listed, decide what the new statement means for the"
    " older one:\n"
    "- same: both say the same, in other words.\n"
    "- replaces: the older one was true and is not true any more, or was wrong, because of the new one. Only if both"
    " are about the same thing and cannot both be true now.\n"
    "- adds: both can be true at the same time.\n"
    "- unrelated: they have nothing to do with each other.\n"
    "When in doubt, answer adds. People like, visit, own and know many things: another one of these adds.\n"
    'Answer with JSON only: {"verdicts": [{"new": 1, "old": 2, "verdict": "adds"}]}, with one entry for each pair.'
)
UNUSABLE = "Older memories were compared by rules alone: "
WORDS = {verdict.value: verdict for verdict in Verdict}


class UnusableVerdicts(Exception):
    """The model answered, but the answer must have no effect. The reason contains none of its words."""


@dataclass(frozen=True, slots=True)
class ModelVerdicts:
    replacing: Sequence[Pair] = ()
    judged: Mapping[UUID, frozenset[UUID]] = field(default_factory=dict)
    """For each new memory, the older ones about which the model has decided. The rules do not decide again."""
    note: str | None = None
    """Why the model's answer has no effect, as a sentence for the event."""


async def ask_for_verdicts(resources: Resources, project_id: UUID, pairs: Sequence[Pair]) -> ModelVerdicts:
    """No transaction is open while the model answers. A model that fails stops no event."""
    pairs = pairs[:MAX_PAIRS]
    if not pairs or resources.llm.name == "offline":
        return ModelVerdicts()
    question = Comparison(pairs)
    options = ModelOptions(temperature=0, max_tokens=30 * len(pairs) + 100)
    try:
        verdicts = question.read(await ask_model(resources, project_id, question.messages(), options))
    except AppError as error:
        return ModelVerdicts(note=f"{UNUSABLE}{error.detail}")
    except UnusableVerdicts as error:
        return ModelVerdicts(note=f"{UNUSABLE}{error}")
    judged = {pair.new.id: frozenset(each.old.id for each in pairs if each.new.id == pair.new.id) for pair in pairs}
    return ModelVerdicts([pair for pair in pairs if verdicts.get(question.key(pair)) is Verdict.REPLACES], judged)


class Comparison:
    """The question about some pairs. Statements have numbers, so that an answer contains none of their text."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._new = {each.id: number for number, each in enumerate({p.new.id: p.new for p in pairs}.values(), 1)}
        self._old = {each.id: number for number, each in enumerate({p.old.id: p.old for p in pairs}.values(), 1)}

    def key(self, pair: Pair) -> tuple[int, int]:
        return self._new[pair.new.id], self._old[pair.old.id]

    def messages(self) -> list[ChatMessage]:
        fence = Fence()
        new = {p.new.id: p.new for p in self._pairs}
        old = {p.old.id: p.old for p in self._pairs}
        data = [
            "New statements:",
            fence.enclose(
                MEMORIES, [_line(self._new[each.id], each.created_at, each.content) for each in new.values()]
            ),
            "Older statements:",
            fence.enclose(
                MEMORIES, [_line(self._old[each.id], each.created_at, each.content) for each in old.values()]
            ),
            "Pairs (new, old): " + ", ".join(f"({new}, {old})" for new, old in map(self.key, self._pairs)),
        ]
        return [ChatMessage(Role.SYSTEM, f"{TASK}\n{DATA_INSTRUCTIONS}"), ChatMessage(Role.USER, "\n".join(data))]

    def read(self, answer: str) -> dict[tuple[int, int], Verdict]:
        """The verdict of each pair. Raises UnusableVerdicts."""
        asked, verdicts = {self.key(pair) for pair in self._pairs}, dict[tuple[int, int], Verdict]()
        for entry in _entries(answer):
            key, verdict = _entry(entry)
            if key not in asked:
                raise UnusableVerdicts("the language model named a memory that it was not asked about.")
            if verdicts.setdefault(key, verdict) is not verdict:
                raise UnusableVerdicts("the language model contradicted itself.")
        replaced = Counter(new for (new, _), verdict in verdicts.items() if verdict is Verdict.REPLACES)
        if replaced and (max(replaced.values()) > MAX_REPLACED or SUSPICIOUS_FROM <= len(asked) == replaced.total()):
            raise UnusableVerdicts("the language model would have replaced too many memories.")
        return verdicts


def _line(number: int, date: object, content: str) -> str:
    return f"{number}. [{str(date)[:10]}] {plain_line(content[:MAX_CHARACTERS])}"


def _entries(answer: str) -> list[object]:
    entries = (read_json_object(answer) or {}).get("verdicts")
    if not isinstance(entries, list):
        raise UnusableVerdicts("the language model did not answer with a list of verdicts.")
    return entries


def _entry(entry: object) -> tuple[tuple[int, int], Verdict]:
    if isinstance(entry, dict):
        new, old, word = entry.get("new"), entry.get("old"), entry.get("verdict")
        if type(new) is int and type(old) is int and isinstance(word, str) and word.strip().lower() in WORDS:
            return (new, old), WORDS[word.strip().lower()]
    raise UnusableVerdicts("the language model gave a verdict that cannot be read.")
