"""A package that is imported when a test uses it."""

import importlib
from typing import Any


class LazyPackage:
    """For packages that take long to import: each process of the tests collects every file, and runs few of them.

    A lazy module would not do, because pytest reads `__class__` and private names of everything that a file defines.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
