"""Evidence recall on LoCoMo: `python -m bench.recall --data FILE`.

Each conversation has a namespace of its own and nothing is tuned for any of them. Recall at k is the share of a
question's evidence among the first k results, averaged over questions. The last line is one JSON object.
"""

import argparse
import asyncio
import datetime as dt
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from app.adapters.models.onnx import OnnxEmbedder
from app.api_keys.issue import create_project
from app.core.observability.logging import configure_logging
from app.core.ports import Embedder, EmbedderChoice
from app.core.resources import Resources
from app.memory.indexing.change_embedder import change_embedder
from app.memory.ledger import Kind, NewMemory
from app.memory.namespace import Namespace
from app.memory.recall import Question, rank, recall
from app.memory.remember import remember as keep
from app.profiles.repository import ProfileRepository
from app.projects.embedder import choose_embedder
from app.settings import Settings
from app.wiring import open_resources
from bench.conversations import Conversation, load, memories
from bench.exact import ExactNamespace

AT = (1, 5, 10, 20)
AT_ONCE = 200
CATEGORIES = {1: "several pieces", 2: "time", 3: "open", 4: "one piece"}
Ask = Callable[[str], Awaitable[list[UUID]]]
"""A question's results, the best first."""
Remember = Callable[[Sequence[NewMemory]], Awaitable[Ask]]
"""Puts memories into a namespace of their own and says how to ask it: all that is known of what is measured."""


@dataclass(frozen=True, slots=True)
class Answered:
    category: int
    recall: tuple[float, ...]


def exact(embedder: Embedder, candidates: int) -> Remember:
    async def remember(new: Sequence[NewMemory]) -> Ask:
        namespace = await ExactNamespace.remember(embedder, new)

        async def ask(question: str) -> list[UUID]:
            found = await namespace.candidates(embedder, question, candidates)
            return [each.id for each in rank(question, found, dt.datetime.now(dt.UTC), limit=max(AT))]

        return ask

    return remember


async def answer_all(remember: Remember, conversation: Conversation, kind: Kind) -> list[Answered]:
    known = memories(conversation, kind)
    turns = {each.memory.id: each.turns for each in known}
    ask = await remember([each.memory for each in known])
    answered = []
    for asked in conversation["questions"]:
        found = [turns[each] for each in await ask(asked["question"])]
        answered.append(Answered(asked["category"], recall_at(frozenset(asked["evidence"]), found)))
    return answered


def recall_at(evidence: frozenset[str], found: Sequence[frozenset[str]]) -> tuple[float, ...]:
    return tuple(len(evidence & frozenset[str]().union(*found[:k])) / len(evidence) for k in AT)


def mean(answered: Iterable[Answered]) -> dict[str, float]:
    columns = zip(*(each.recall for each in answered), strict=True)
    means = [sum(column) / len(column) for column in columns] or [0.0] * len(AT)
    return {f"R@{k}": round(value, 4) for k, value in zip(AT, means, strict=True)}


def show(name: str, figures: dict[str, float], questions: int) -> None:
    print(f"{name:28}", *(f"{at} {value:.3f} " for at, value in figures.items()), f"{questions} questions")


async def measure(remember: Remember, conversations: Sequence[Conversation], kind: Kind) -> dict[str, float]:
    answered = [each for part in conversations for each in await answer_all(remember, part, kind)]
    for category, name in CATEGORIES.items():
        of_category = [each for each in answered if each.category == category]
        show(f"{kind}s, {name}", mean(of_category), len(of_category))
    figures = mean(answered)
    show(f"{kind}s", figures, len(answered))
    return figures


def through_engine(resources: Resources, project_id: UUID) -> Remember:
    async def remember(new: Sequence[NewMemory]) -> Ask:
        namespace = await fresh_namespace(resources, project_id)
        for start in range(0, len(new), AT_ONCE):
            await keep(resources, namespace, new[start : start + AT_ONCE], deduplicate=False)
        await resources.index_queue.wait_until_indexed(project_id, None)

        async def ask(question: str) -> list[UUID]:
            asked = Question(project_id, question, (namespace,), top_k=max(AT), user_id=namespace.user_id)
            return [each.memory.id for each in await recall(resources, asked)]

        return ask

    return remember


async def fresh_namespace(resources: Resources, project_id: UUID) -> Namespace:
    user_id = uuid4().hex
    async with resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of(user_id)
    return Namespace(project_id, user_id, profile.id)


async def use_embedder(resources: Resources, project_id: UUID, chosen: EmbedderChoice) -> None:
    async with resources.database.system() as tx:
        await choose_embedder(tx, project_id, chosen)
    await change_embedder(resources, project_id, grace_seconds=0)


async def run(path: Path, candidates: int, chosen: EmbedderChoice, *, without_engine: bool) -> None:
    conversations = load(path)
    async with AsyncExitStack() as stack:
        if without_engine:
            embedder = OnnxEmbedder()
            stack.push_async_callback(embedder.close)
            remember = exact(embedder, candidates)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            settings = Settings(_env_file=None, data_dir=folder, recall_candidates=candidates)
            resources = await stack.enter_async_context(open_resources(settings))
            project_id = await create_project(resources.database, "bench")
            await use_embedder(resources, project_id, chosen)
            remember = through_engine(resources, project_id)
        figures = {f"{kind}s": await measure(remember, conversations, kind) for kind in (Kind.EPISODE, Kind.FACT)}
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=Settings.model_fields["recall_candidates"].default)
    parser.add_argument("--embedder", type=EmbedderChoice, choices=EmbedderChoice, default=EmbedderChoice.ENGLISH)
    parser.add_argument("--exact", action="store_true", help="ranking alone, over exact scores instead of the engine")
    arguments = parser.parse_args()
    configure_logging("WARNING", as_json=False)
    asyncio.run(run(arguments.data, arguments.candidates, arguments.embedder, without_engine=arguments.exact))


if __name__ == "__main__":
    main()
