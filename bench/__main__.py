"""Runs every benchmark quickly, one after the other: `python -m bench`. Each module has options of its own."""

import subprocess
import sys
import time

QUICK = {
    "auth": ["--requests", "1000", "--rounds", "3"],
    "embedding": [],
    "engine": ["--sizes", "1000"],
    "messages": ["--size", "1000"],
    "http": ["--memories", "1000", "--seconds", "2"],
    "extraction": ["--adds", "10"],
    "chat": ["--conversations", "10", "--turns", "3"],
}


def main() -> None:
    failed = [name for name, options in QUICK.items() if not run(name, options)]
    if failed:
        sys.exit(f"These did not finish: {', '.join(failed)}")


def run(name: str, options: list[str]) -> bool:
    print(f"== {name}", flush=True)
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", f"bench.{name}", *options])
    print(f"   {time.perf_counter() - began:.0f} s\n", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
