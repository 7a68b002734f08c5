"""Import a module when it is first used."""

import gc
import importlib.util
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType


class UncollectedLoader(Loader):
    """Executes a module without the garbage collector, and leaves what the module creates out of later collections.

    An application is hundreds of thousands of objects that live to the end. Looking through them again and again takes
    a sixth of the time of importing it, and finds nothing.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            self._loader.exec_module(module)
        finally:
            if was_enabled:
                gc.enable()
        gc.freeze()


def lazy_import(name: str) -> ModuleType:
    """The module is executed when one of its names is read.

    The command line needs this: importing the whole application takes seconds, which `--help` and a wrong option must
    not cost. The caller imports the same module under `TYPE_CHECKING`, so that types are checked as usual.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader = importlib.util.LazyLoader(UncollectedLoader(spec.loader))
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module
