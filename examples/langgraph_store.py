"""LangGraph's long-term store (`BaseStore`) with its items in Keepsake: searched by meaning, exported and erased with
their user.

Run it with an API key, see README.md. `.venv` of a development setup contains langgraph; elsewhere
`pip install langgraph httpx` installs it.

    .venv/bin/python examples/langgraph_store.py

In your application: `graph.compile(store=KeepsakeStore(client, user_id="anna"))`.
"""

import asyncio
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import httpx
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

PAGE_SIZE = 500
MOST_RESULTS = 1000
COMPARISONS = {
    "$eq": lambda value, wanted: value == wanted,
    "$ne": lambda value, wanted: value != wanted,
    "$gt": lambda value, wanted: float(value) > float(wanted),
    "$gte": lambda value, wanted: float(value) >= float(wanted),
    "$lt": lambda value, wanted: float(value) < float(wanted),
    "$lte": lambda value, wanted: float(value) <= float(wanted),
}


class KeepsakeStore(BaseStore):
    """Each item is a memory of one user. Its namespace, key and value are in the metadata of the memory."""

    def __init__(self, client: httpx.Client, user_id: str) -> None:
        self._client = client
        self._user_id = user_id

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await asyncio.to_thread(self.batch, list(ops))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """What is read is as it was before the batch. Of several values of one item, the last one is stored."""
        wanted = list(ops)
        results = [None if isinstance(each, PutOp) else self._read(each) for each in wanted]
        for put in {(each.namespace, each.key): each for each in wanted if isinstance(each, PutOp)}.values():
            self._put(put)
        return results

    def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            found = self._find(op.namespace, op.key)
            return Item(**item_fields(found)) if found else None
        if isinstance(op, SearchOp):
            return self._search(op)
        assert isinstance(op, ListNamespacesOp)
        return self._namespaces(op)

    def _put(self, op: PutOp) -> None:
        found = self._find(op.namespace, op.key)
        path = f"/v1/memories/{found['id']}/" if found else None
        if op.value is None:
            if path:
                self._send("DELETE", path)
            return
        text = f"{'/'.join([*op.namespace, op.key])}: {searched_text(op.value, op.index)}"
        metadata = {
            "langgraph_address": address(op.namespace, op.key),
            **{name: each for end in range(len(op.namespace) + 1) for name, each in within(op.namespace[:end]).items()},
            "langgraph_item": {"namespace": list(op.namespace), "key": op.key, "value": dict(op.value)},
        }
        if path:
            self._send("PUT", path, {"text": text, "metadata": metadata})
        else:
            message = {"role": "user", "content": text}
            new = {"messages": [message], "user_id": self._user_id, "infer": False, "metadata": metadata}
            self._send("POST", "/v3/memories/add/", new)

    def _find(self, namespace: tuple[str, ...], key: str) -> dict[str, Any] | None:
        return next(self._list({"langgraph_address": address(namespace, key)}), None)

    def _search(self, op: SearchOp) -> list[SearchItem]:
        prefix = within(op.namespace_prefix)
        found = self._rank(op.query, prefix) if op.query else self._list(prefix)
        items = [
            SearchItem(**item_fields(each), score=each.get("score"))
            for each in found
            if all(matches(item_fields(each)["value"].get(name), wanted) for name, wanted in (op.filter or {}).items())
        ]
        return items[op.offset : op.offset + op.limit]

    def _rank(self, query: str, metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
        body = {"query": query, "top_k": MOST_RESULTS, "threshold": 0, **self._among(metadata)}
        results: list[dict[str, Any]] = self._send("POST", "/v3/memories/search/", body)["results"]
        return results

    def _list(self, metadata: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            path = f"/v3/memories/?page={page}&page_size={PAGE_SIZE}"
            listed = self._send("POST", path, self._among(metadata))
            yield from listed["results"]
            if not listed["next"]:
                return
            page += 1

    def _among(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """An item that says something newer than another does not replace it, as memories do."""
        return {"filters": {"AND": [{"user_id": self._user_id}, {"metadata": metadata}]}, "show_superseded": True}

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        found = {item_fields(each)["namespace"] for each in self._list(within(()))}
        wanted = {each for each in found if all(fits(condition, each) for condition in op.match_conditions or ())}
        cut = {each[: op.max_depth] if op.max_depth is not None else each for each in wanted}
        return sorted(cut)[op.offset : op.offset + op.limit]

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        response = self._client.request(method, path, json=body)
        response.raise_for_status()
        return response.json()


def address(namespace: tuple[str, ...], key: str | None = None) -> str:
    return json.dumps([*namespace] if key is None else [[*namespace], key], ensure_ascii=False)


def within(namespace: tuple[str, ...]) -> dict[str, str]:
    """What the metadata of each item at or below a namespace has: filters compare whole values."""
    return {f"langgraph_within_{len(namespace)}": address(namespace)}


def searched_text(value: Mapping[str, Any], index: bool | list[str] | None) -> str:
    """The fields that `index` names, or all: a text is found better than JSON."""
    chosen = {name: value.get(name) for name in index} if isinstance(index, list) else value
    return ", ".join(each if isinstance(each, str) else f"{name} {json.dumps(each)}" for name, each in chosen.items())


def item_fields(memory: Mapping[str, Any]) -> dict[str, Any]:
    item = memory["metadata"]["langgraph_item"]
    return {
        "namespace": tuple(item["namespace"]),
        "key": item["key"],
        "value": item["value"],
        "created_at": datetime.fromisoformat(memory["created_at"]),
        "updated_at": datetime.fromisoformat(memory["updated_at"]),
    }


def matches(value: Any, wanted: Any) -> bool:
    """The comparison of langgraph's filters."""
    if isinstance(wanted, dict) and any(name.startswith("$") for name in wanted):
        return all(COMPARISONS[name](value, each) for name, each in wanted.items())
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(matches(value.get(name), each) for name, each in wanted.items())
    if isinstance(wanted, list | tuple):
        return isinstance(value, list) and len(value) == len(wanted) and all(map(matches, value, wanted))
    return bool(value == wanted)


def fits(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", name) for name, wanted in zip(part, path, strict=True))


def main() -> None:
    address_of_server = os.environ.get("KEEPSAKE_URL", "http://127.0.0.1:8000")
    headers = {"Authorization": f"Token {os.environ['KEEPSAKE_API_KEY']}"}
    with httpx.Client(base_url=address_of_server, headers=headers, timeout=60) as client:
        store = KeepsakeStore(client, user_id="anna")
        store.put(("anna", "food"), "tea", {"text": "Anna drinks green tea in the morning"})
        store.put(("anna", "places"), "home", {"text": "Anna lives in Lisbon", "since": 2024})
        for item in store.search(("anna",), query="What does Anna drink?", limit=1):
            print(item.key, item.value["text"])
        print(store.list_namespaces(prefix=("anna",)))
        store.delete(("anna", "food"), "tea")
        print(store.get(("anna", "food"), "tea"))


if __name__ == "__main__":
    main()
