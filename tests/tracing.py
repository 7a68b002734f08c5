"""What coverage sees. Its tracer slows down everything that Python does in a thread, libraries and tests too, to half.

It is off where the application runs nothing, or once more what it ran before: while tests are collected, in tests of
documents and SQL, and while fixtures of a single test are set up and torn down, except for the ends of each file.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
IMPORT_OF_APP = re.compile(r"^from (app[\w.]*) import ", re.M)
TRACER, IS_FIRST_OF_FILE = pytest.StashKey[object](), pytest.StashKey[bool]()
WITHOUT_THE_APPLICATION = {"test_architecture.py", "test_barriers.py", "test_docs.py"}


@contextmanager
def tracing(config: pytest.Config, *, on: bool) -> Iterator[None]:
    """Other threads are traced all the time."""
    before = sys.gettrace()
    sys.settrace(config.stash[TRACER] if on else None)  # type: ignore[arg-type]  # what `gettrace` returned
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def collecting(config: pytest.Config) -> Iterator[None]:
    config.stash[TRACER] = sys.gettrace()
    if config.stash[TRACER] and config.getoption("dist", "no") == "no":  # xdist collects in its workers only
        for file in TESTS.rglob("*.py"):
            for module in IMPORT_OF_APP.findall(file.read_text()):
                import_module(module)
    with tracing(config, on=False):
        yield


def mark_first_of_each_file(items: list[pytest.Item]) -> None:
    seen: set[Path] = set()
    for item in items:
        item.stash[IS_FIRST_OF_FILE] = item.path not in seen
        seen.add(item.path)


@contextmanager
def around_test(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Setup and teardown; what is shared in a file is torn down after its last test."""
    is_last_of_file = nextitem is None or nextitem.path != item.path
    with tracing(item.config, on=item.stash[IS_FIRST_OF_FILE] or is_last_of_file):
        yield


@contextmanager
def calling(item: pytest.Item) -> Iterator[None]:
    with tracing(item.config, on=item.path.name not in WITHOUT_THE_APPLICATION):
        yield


@contextmanager
def setting_up(fixture: pytest.FixtureDef[object], config: pytest.Config) -> Iterator[None]:
    """A shared fixture is traced always, because any test may be the first that needs it."""
    with tracing(config, on=True) if fixture.scope != "function" else nullcontext():
        yield
