"""Insert, search, recall against exact results, memory and start of every vector store: `python -m bench.stores`.

Each store is started here, empty, and measured in a process of its own. A tenth of the memories is in one namespace,
the rest in about 200.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.stores.data import embed_sentences
from bench.stores.running import STORES

COLUMNS = {
    "inserts_per_second": ("inserts/s", 0),
    "insert_one": ("one insert, ms", 1),
    "small_both": ("small: both, ms", 1),
    "small_dense": ("meaning", 1),
    "large_both": ("large: both", 1),
    "large_dense": ("meaning", 1),
    "project_dense": ("project: meaning", 1),
    "recall_small": ("recall small", 3),
    "recall_large": ("large", 3),
    "recall_project_10": ("project, 10", 3),
    "recall_project_50": ("50", 3),
    "megabytes": ("memory, MB", 0),
    "disk_megabytes": ("disk, MB", 0),
    "start_seconds": ("start, s", 2),
    "open_again": ("open again, ms", 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--only", nargs="+", choices=list(STORES), default=list(STORES))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sentences = Path(folder) / "sentences.npy"
        asyncio.run(embed_sentences(sentences))
        results = [run(store, size, sentences) for size in options.sizes for store in options.only]
    for size in options.sizes:
        print_table(size, [each for each in results if each["memories"] == size])
    print(json.dumps(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def run(store: str, size: int, sentences: Path) -> dict[str, object]:
    print(f"{store}, {size} memories …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "bench.stores.measure", store, str(size), str(sentences)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return {"store": store, "memories": size, "left_out": f"it failed with the exit code {done.returncode}"}
    last = done.stdout.splitlines()[-1]
    print(last, file=sys.stderr, flush=True)
    result: dict[str, object] = json.loads(last)
    return result


def print_table(size: int, results: list[dict[str, object]]) -> None:
    print(f"\n{size} memories\n")
    print(f"| store | {' | '.join(title for title, _ in COLUMNS.values())} |")
    print(f"|---|{'---|' * len(COLUMNS)}")
    for each in results:
        if "left_out" not in each:
            figures = [f"{each[name]:,.{digits}f}" for name, (_, digits) in COLUMNS.items()]
            print(f"| {each['store']} | {' | '.join(figures)} |")
    for each in results:
        if "left_out" in each:
            print(f"\n{each['store']} is left out: {each['left_out']}.")
    print()


if __name__ == "__main__":
    main()
