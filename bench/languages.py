"""Recall across languages over HTTP: `python -m bench.languages --data FILE [--embedder english|multilingual …]`.

Each language has the same paragraphs, one user each, and the question of every paragraph. Recall at ten is the share of
questions whose paragraph is among the first ten: within a language, from each language to English, and from English to
each. Each embedder has a server of its own; a switch of the embedder is timed. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from app.core.ports import EmbedderChoice
from bench.truth.service import Figures, Service, Statement, serving

AT = 10
BASE = "en"
MAX_WAITS, WAIT_SECONDS = 3000, 0.2
Paragraphs = dict[str, list[dict[str, str]]]


async def recall(service: Service, asked: str, told: str, paragraphs: Paragraphs, ids: Sequence[str | None]) -> float:
    found = await asyncio.gather(
        *(service.search(told, each["question"], top_k=AT, threshold=0) for each in paragraphs[asked])
    )
    return mean(id_ in answer.ids for id_, answer in zip(ids, found, strict=True))


async def switch(service: Service, chosen: EmbedderChoice) -> float:
    """Seconds until the searches of the project use the embedder."""
    began = time.perf_counter()
    [project] = (await service.http.get("/v1/projects")).raise_for_status().json()["results"]
    address = f"/v1/projects/{project['id']}"
    (await service.http.patch(address, json={"embedder": chosen})).raise_for_status()
    for _ in range(MAX_WAITS):
        if not (await service.http.get(address)).raise_for_status().json()["is_changing_embedder"]:
            return time.perf_counter() - began
        await asyncio.sleep(WAIT_SECONDS)
    raise RuntimeError("the vectors were not rebuilt in time")


async def measure(service: Service, paragraphs: Paragraphs, chosen: EmbedderChoice) -> Figures:
    ids: dict[str, list[str | None]] = {}
    for language, told in paragraphs.items():
        ids[language] = await service.add(language, [Statement(each["text"]) for each in told])
        await service.wait_until_indexed(language)
    figures: Figures = {"switch_seconds": round(await switch(service, chosen), 1)}
    others = [language for language in paragraphs if language != BASE]
    directions = {
        "within": [(language, language) for language in paragraphs],
        "to_english": [(language, BASE) for language in others],
        "from_english": [(BASE, language) for language in others],
    }
    for name, pairs in directions.items():
        recalls = {
            next(iter({asked, told} - {BASE}), BASE): await recall(service, asked, told, paragraphs, ids[told])
            for asked, told in pairs
        }
        figures[name] = {language: round(value, 3) for language, value in recalls.items()}
        figures[f"{name}_mean"] = round(mean(recalls.values()), 3)
    return figures


async def run(paragraphs: Paragraphs, embedders: Sequence[EmbedderChoice]) -> None:
    figures = {}
    for embedder in embedders:
        async with serving() as service:
            figures[str(embedder)] = await measure(service, paragraphs, embedder)
        print(f"{embedder}: {json.dumps(figures[str(embedder)], indent=2)}", flush=True)
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embedder", type=EmbedderChoice, nargs="+", default=list(EmbedderChoice))
    parser.add_argument("--languages", nargs="+", action="extend", help="besides English; all if left out")
    parser.add_argument("--paragraphs", type=int, default=1000, help="of each language")
    arguments = parser.parse_args()
    data: Paragraphs = json.loads(arguments.data.read_text())
    languages = {BASE, *(arguments.languages or data)}
    chosen = {name: told[: arguments.paragraphs] for name, told in data.items() if name in languages}
    asyncio.run(run(chosen, arguments.embedder))


if __name__ == "__main__":
    main()
