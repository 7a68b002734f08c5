"""The store for LangGraph answers as langgraph's own store does."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import httpx
import pytest
from langgraph.store.base import BaseStore, GetOp, Item, PutOp, SearchItem, SearchOp
from langgraph.store.memory import InMemoryStore

from app.core.resources import Resources
from tests.conftest import KeyHolder, MakeKey, SignedUp
from tests.e2e.loopback import with_request_limit
from tests.examples.conftest import EXAMPLES, run_example
from tests.loopback import serve_on_loopback

FOOD, HOME, WORK = ("anna", "food"), ("anna", "places"), ("work", "places", "old")
ITEMS: dict[tuple[tuple[str, ...], str], dict[str, Any]] = {
    (FOOD, "tea"): {"text": "green tea in the morning", "times": 2, "tags": ["hot", "daily"], "about": {"who": "anna"}},
    (FOOD, "soup"): {"text": "soup at noon", "times": 1, "tags": ["hot"], "about": {"who": "anna", "when": None}},
    (HOME, "now"): {"text": "lives in Lisbon", "times": 3},
    (HOME, "tea"): {"text": "green tea in the morning", "times": 2},
    (WORK, "now"): {"text": "lives in Porto", "times": 3},
}
Ask = Callable[[BaseStore], object]
QUESTIONS: dict[str, Ask] = {
    "get": lambda store: store.get(FOOD, "tea"),
    "get nothing": lambda store: store.get(FOOD, "coffee"),
    "get in another namespace": lambda store: store.get(("anna",), "tea"),
    "all": lambda store: store.search(()),
    "prefix": lambda store: store.search(("anna",)),
    "no such prefix": lambda store: store.search(("ann",)),
    "pages": lambda store: len(store.search((), limit=2, offset=3)),
    "equal": lambda store: store.search((), filter={"times": 2}),
    "greater": lambda store: store.search((), filter={"times": {"$gte": 2, "$lt": 3}}),
    "not equal": lambda store: store.search((), filter={"times": {"$ne": 3}}),
    "nested": lambda store: store.search(("anna",), filter={"about": {"who": "anna"}}),
    "list": lambda store: store.search(("anna",), filter={"tags": ["hot"]}),
    "absent": lambda store: store.search((), filter={"nothing": None}),
    "namespaces": lambda store: store.list_namespaces(),
    "namespaces by prefix": lambda store: store.list_namespaces(prefix=("anna",)),
    "namespaces by suffix": lambda store: store.list_namespaces(suffix=("places",)),
    "namespaces by pattern": lambda store: store.list_namespaces(prefix=("*", "places")),
    "namespaces cut": lambda store: store.list_namespaces(max_depth=1),
    "namespaces in pages": lambda store: store.list_namespaces(limit=1, offset=1),
    "batch": lambda store: store.batch([GetOp(HOME, "now"), SearchOp(FOOD), GetOp(HOME, "gone")]),
    "async": lambda store: asyncio.run(store.aget(WORK, "now")),
}


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("langgraph_store", EXAMPLES / "langgraph_store.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def open_store(url: str, key: str, user_id: str = "anna") -> Iterator[BaseStore]:
    with httpx.Client(base_url=url, headers={"Authorization": f"Token {key}"}, timeout=30) as client:
        yield load_example().KeepsakeStore(client, user_id=user_id)


@pytest.fixture
def kept(server_url: str, key_holder: KeyHolder) -> Iterator[BaseStore]:
    with open_store(server_url, key_holder.key) as store:
        yield store


def shown(answer: object) -> object:
    """Without times and scores. The order of a search without a query is not part of the contract."""
    if isinstance(answer, Item):
        return (answer.namespace, answer.key, json.dumps(answer.value, sort_keys=True))
    if isinstance(answer, list) and answer and all(isinstance(each, SearchItem) for each in answer):
        return sorted(map(repr, map(shown, answer)))
    return [shown(each) for each in answer] if isinstance(answer, list) else answer


def fill(store: BaseStore) -> None:
    for (namespace, key), value in ITEMS.items():
        store.put(namespace, key, value)


def filled() -> BaseStore:
    """A fresh one for each question: reading a namespace that does not exist creates it."""
    store = InMemoryStore()
    fill(store)
    return store


def compare(kept: BaseStore) -> None:
    own = InMemoryStore()
    for store in (own, kept):
        fill(store)
    assert {name: shown(ask(kept)) for name, ask in QUESTIONS.items()} == {
        name: shown(ask(filled())) for name, ask in QUESTIONS.items()
    }
    for store in (own, kept):
        store.put(HOME, "now", {"text": "lives in Porto", "new": True})
        store.delete(FOOD, "soup")
        store.delete(FOOD, "soup")
        puts = [PutOp(HOME, "x", {"text": "first"}), PutOp(HOME, "x", {"text": "second"})]
        assert store.batch([*puts, GetOp(HOME, "x")]) == [None, None, None]
    assert shown(kept.search(())) == shown(own.search(()))
    assert shown(kept.search(("anna",), query="Where does Anna live?", limit=1)) == [
        repr((HOME, "now", '{"new": true, "text": "lives in Porto"}'))
    ]
    for store in (own, kept):
        item = store.get(HOME, "now")
        assert item is not None
        assert item.created_at <= item.updated_at
        with pytest.raises(NotImplementedError):
            store.put(HOME, "y", {}, ttl=1)


async def test_store_answers_as_the_store_of_langgraph(kept: BaseStore) -> None:
    await asyncio.to_thread(compare, kept)


async def test_items_are_kept_apart_by_user_and_project(
    kept: BaseStore, server_url: str, make_key: MakeKey, owner: SignedUp, key_holder: KeyHolder
) -> None:
    await asyncio.to_thread(fill, kept)
    foreign = (await make_key(project=owner.project_id)).key
    for key, user_id in ((key_holder.key, "bob"), (foreign, "anna")):
        with open_store(server_url, key, user_id) as other:
            assert await other.aget(FOOD, "tea") is None
            assert await other.alist_namespaces() == []


async def test_refusals_of_the_server_are_raised(resources: Resources, server_url: str, key_holder: KeyHolder) -> None:
    with open_store(server_url, "ks_wrong") as store, pytest.raises(httpx.HTTPStatusError, match="401"):
        await store.aget(FOOD, "tea")
    async with serve_on_loopback(with_request_limit(resources, requests=1)) as url:
        with open_store(url, key_holder.key) as store:
            await store.aget(FOOD, "tea")
            with pytest.raises(httpx.HTTPStatusError, match="429"):
                await store.aget(FOOD, "tea")


async def test_example_runs(server_url: str, make_key: MakeKey) -> None:
    key = (await make_key()).key
    command = (sys.executable, "langgraph_store.py")
    assert await run_example(".", *command, KEEPSAKE_URL=server_url, KEEPSAKE_API_KEY=key) == [
        "tea Anna drinks green tea in the morning",
        "[('anna', 'food'), ('anna', 'places')]",
        "None",
    ]
