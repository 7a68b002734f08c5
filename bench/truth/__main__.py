"""`python -m bench.truth --data FOLDER [--only NAME …]`: every section, one after the other, on one server each."""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.truth.consolidation import measure_consolidation
from bench.truth.forget import measure_forget
from bench.truth.merging import measure_merging
from bench.truth.precision import measure_precision
from bench.truth.recall import measure_recall
from bench.truth.service import Figures, Service, serving
from bench.truth.silence import measure_silence
from bench.truth.standing import measure_standing

Section = Callable[[Service, Path], Awaitable[Figures]]
SECTIONS: dict[str, Section] = {
    "consolidation": measure_consolidation,
    "merging": measure_merging,
    "silence": measure_silence,
    "precision": measure_precision,
    "recall": measure_recall,
    "standing": measure_standing,
    "forget": measure_forget,
}


async def measure(names: list[str], data: Path) -> Figures:
    figures: Figures = {}
    for name in names:
        began = time.perf_counter()
        async with serving() as service:
            figures[name] = await SECTIONS[name](service, data)
        print(f"{name}, {time.perf_counter() - began:.0f} s: {json.dumps(figures[name], indent=2)}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the development data")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(arguments.only, arguments.data))))


if __name__ == "__main__":
    main()
