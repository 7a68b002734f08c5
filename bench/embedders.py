"""CPU of a search with each embedder: `python -m bench.embedders --data FILE [--rounds 40]`.

A project for each embedder has the same conversations of LoCoMo. One process asks both the same questions in turns, so
that both meet the same minute of the machine. CPU time is that of this process, Postgres not included. The last line is
one JSON object.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from app.api_keys.issue import create_project
from app.core.observability.logging import configure_logging
from app.core.ports import EmbedderChoice
from app.core.resources import Resources
from app.memory.ledger import Kind
from app.settings import Settings
from app.wiring import open_resources
from bench.conversations import Conversation, load, memories
from bench.recall import Ask, through_engine, use_embedder

QUESTIONS, WARM_UP_ROUNDS = 20, 2
Asked = tuple[int, str]
"""The number of a conversation, and a question about it."""


async def main(path: Path, rounds: int, folder: Path) -> None:
    conversations = load(path)
    questions = interleaved(conversations)
    async with open_resources(Settings(_env_file=None, data_dir=folder)) as resources:
        asks = {each: await fill(resources, conversations, each) for each in EmbedderChoice}
        spent: dict[EmbedderChoice, list[float]] = {each: [] for each in EmbedderChoice}
        for _ in range(rounds + WARM_UP_ROUNDS):
            asked = list(itertools.islice(questions, QUESTIONS))
            if not asked:
                raise SystemExit("There are too few questions for so many rounds.")
            for chosen, of_conversations in asks.items():
                spent[chosen].append(await measure(of_conversations, asked))
    figures = {str(each): statistics.median(spent[each][WARM_UP_ROUNDS:]) for each in EmbedderChoice}
    default, multilingual = figures.values()
    for name, milliseconds in figures.items():
        print(f"{name:14} {milliseconds:6.2f} ms of CPU a search")
    print(json.dumps({**figures, "ratio": round(multilingual / default, 3)}))


def interleaved(conversations: Sequence[Conversation]) -> Iterator[Asked]:
    """A question is asked once: the embedder would know it otherwise."""
    each = [[(number, asked["question"]) for asked in part["questions"]] for number, part in enumerate(conversations)]
    return (asked for together in itertools.zip_longest(*each) for asked in together if asked)


async def fill(resources: Resources, conversations: Sequence[Conversation], chosen: EmbedderChoice) -> list[Ask]:
    project_id = await create_project(resources.database, str(chosen))
    await use_embedder(resources, project_id, chosen)
    remember = through_engine(resources, project_id)
    asks = [await remember([each.memory for each in memories(part, Kind.EPISODE)]) for part in conversations]
    await resources.index_queue.wait_until_indexed(project_id, None)
    return asks


async def measure(asks: Sequence[Ask], questions: Sequence[Asked]) -> float:
    """Milliseconds of CPU a question."""
    start = time.process_time()
    for number, question in questions:
        await asks[number](question)
    return (time.process_time() - start) * 1000 / len(questions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    configure_logging("WARNING", as_json=False)
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(main(options.data, options.rounds, Path(directory)))
