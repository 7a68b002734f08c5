"""The methods and parameters of mem0's clients, from Python's signatures and from the types of the npm client."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

from mem0 import MemoryClient
from mem0.client.project import Project
from pydantic import BaseModel

from tests.e2e.conftest import MEM0_JS

Call = tuple[str, str]
"""A method and one of its parameters; "" for a method without any."""
TYPES = MEM0_JS / "node_modules" / "mem0ai" / "dist" / "index.d.ts"
OPTION_TYPES = ("Options", "Payload", "Settings")
INTERFACE = re.compile(r"interface (\w+)(?: extends (\w+))? \{(.*?)\n\}", re.DOTALL)
METHOD = re.compile(r"\n    (\w+)\(((?:[^()]|\([^()]*\))*)\): Promise<")
ARGUMENT = re.compile(r"(\w+)\??: *(\{|\w+)")


def every_call() -> dict[Call, str]:
    """With the clients that name it."""
    clients = {"Python": python_calls(), "npm": javascript_calls()}
    calls = sorted(set().union(*clients.values()))
    with_parameters = {method for method, parameter in calls if parameter}
    return {
        call: ", ".join(name for name, found in clients.items() if call in found)
        for call in calls
        if call[1] or call[0] not in with_parameters
    }


def python_calls() -> set[Call]:
    """The names of arguments that a method takes as `**kwargs` are those of its options."""
    calls: set[Call] = set()
    for owner, prefix in ((MemoryClient, ""), (Project, "project.")):
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_"):
                calls |= {(f"{prefix}{name}", parameter) for parameter in list(_parameters(method)) or [""]}
    return calls


def _parameters(method: Any) -> Iterator[str]:
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        options = [each for each in get_args(parameter.annotation) if inspect.isclass(each)]
        models = [each for each in options if issubclass(each, BaseModel)]
        if models:
            yield from models[0].model_fields
        elif parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            yield name


def javascript_calls() -> set[Call]:
    types = re.sub(r"/\*.*?\*/", "", TYPES.read_text(), flags=re.DOTALL)
    interfaces = {name: (base, fields) for name, base, fields in INTERFACE.findall(types)}
    client = types[types.index("declare class MemoryClient") :]
    client = client[: client.index("\n}")]
    calls: set[Call] = set()
    for name, arguments in METHOD.findall(client):
        parameters = set(_arguments(arguments, interfaces)) or {""}
        calls |= {(_snake_case(name), _snake_case(parameter)) for parameter in parameters}
    return {call for call in calls if not call[0].startswith("_") and call[0] != "ping"}


def _arguments(text: str, interfaces: dict[str, tuple[str, str]]) -> Iterator[str]:
    for name, kind in ARGUMENT.findall(text):
        if kind in interfaces and kind.endswith(OPTION_TYPES):
            yield from _fields(kind, interfaces)
        elif kind != "{":
            yield name


def _fields(name: str, interfaces: dict[str, tuple[str, str]]) -> Iterator[str]:
    base, fields = interfaces[name]
    if base:
        yield from _fields(base, interfaces)
    yield from re.findall(r"^    (\w+)\??:", fields, flags=re.MULTILINE)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
