"""Runs mem0's command line repeatedly without importing its libraries each time, which takes longer than a command.

Each command runs in a fork of this process, with its own environment. `mem0_cli` itself is imported there, because it
reads the environment when it is imported. A request is one line of JSON; the response is the exit code.
"""

import importlib
import json
import os
import runpy
import sys

PRELOADED = ("httpcore", "httpx", "rich.live", "rich.panel", "rich.table", "typer._adapters")


def run_command(words: list[str], environment: dict[str, str], out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["mem0_cli", *words]
    runpy.run_module("mem0_cli", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        if not (child := os.fork()):
            run_command(**json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
