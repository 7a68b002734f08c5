"""How long the page takes until it can be used: `python -m bench.page [--runs 7]`.

Chromium opens the page of a server on loopback, each time with a cold cache: the sign-in view, and the chat view of a
person who stays signed in. It needs Node.js, the packages of tests/e2e/page (`npm ci`) and Chromium. The last line is
one JSON object with milliseconds.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench.http import serving

SCRIPTS = Path(__file__).parent.parent / "tests" / "e2e" / "page"
TARGET_MS = 1000


def find_program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"Install {names[0]}"
    return found


def measure(url: str, runs: int) -> dict[str, list[float]]:
    browser = find_program("chromium", "chromium-browser", "google-chrome")
    command = [find_program("node"), "speed.mjs", url, browser, str(runs)]
    done = subprocess.run(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def summarize(milliseconds: list[float]) -> dict[str, float]:
    return {
        "fastest": round(min(milliseconds)),
        "median": round(statistics.median(milliseconds)),
        "slowest": round(max(milliseconds)),
    }


def main(runs: int, folder: Path) -> None:
    with serving(folder / "data", folder / "server.log") as (_, port):
        found = measure(f"http://127.0.0.1:{port}", runs)
    print(json.dumps({"target": TARGET_MS, **{view: summarize(each) for view, each in found.items()}}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(arguments.runs, Path(temporary))
