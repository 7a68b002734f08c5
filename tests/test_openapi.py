"""No request that the OpenAPI document allows makes the app fail."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.result import Err

from tests.conftest import MakeKey, SignedUp, SignUp

DIALECT = re.compile(r"\b(whoever|nobody|somebody|everybody)\b|however often", re.IGNORECASE)
METHODS = {"get", "post", "put", "patch", "delete"}
PUBLIC = {"/", "/v1/health", "/v1/ready", "/metrics", "/v1/auth/*"}
EXAMPLES = 3
MANY_EXAMPLES = 25
# These end the key or the session that all other requests use.
LAST = {("DELETE", "/v1/auth/me"), ("POST", "/v1/auth/logout"), ("DELETE", "/v1/projects/{project_id}")}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS & methods.keys():
            yield method.upper(), path, methods[method]


def generate(operation: Any, count: int) -> list[schemathesis.Case[Any]]:
    """Generates the same cases in every run, so that failures are reproducible."""
    found: list[schemathesis.Case[Any]] = []

    @seed(4711)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def collect(case: schemathesis.Case[Any]) -> None:
        found.append(case)

    collect()
    return found


def body_of(request: dict[str, Any]) -> bytes:
    if "json" in request:
        return json.dumps(request["json"]).encode()
    written = request.get("data") or b""
    return written if isinstance(written, bytes) else str(written).encode()


async def send(client: httpx.AsyncClient, case: schemathesis.Case[Any], known: dict[str, str]) -> httpx.Response:
    case.path_parameters = {
        **(case.path_parameters or {}),
        **{k: v for k, v in known.items() if f"{{{k}}}" in case.path},
    }
    request = case.as_transport_kwargs(base_url="http://test")
    headers = {name: value for name, value in request["headers"].items() if name not in ("Authorization", "X-API-Key")}
    headers.pop("X-Project-Id", None)
    return await client.request(
        request["method"], request["url"], params=request.get("params"), content=body_of(request), headers=headers
    )


async def make_known(client: httpx.AsyncClient, project_id: uuid.UUID) -> dict[str, str]:
    """Creates objects, so that not every request ends with 404."""
    profile = (await client.post("/v1/profiles", json={"name": uuid.uuid4().hex, "user_id": "ana"})).json()
    session = (await client.post("/v1/sessions", json={"profile_id": profile["id"], "user_id": "ana"})).json()
    key = (await client.post("/v1/api-keys", json={"name": "known"})).json()
    return {
        "profile_id": profile["id"],
        "session_id": session["id"],
        "key_id": key["id"],
        "project_id": str(project_id),
    }


@pytest.mark.parametrize("count", [EXAMPLES, pytest.param(MANY_EXAMPLES, marks=pytest.mark.long)])
@pytest.mark.parametrize("who", ["key", "person"])
async def test_no_request_allowed_by_the_document_makes_the_app_fail(
    app: FastAPI, make_key: MakeKey, sign_up: SignUp, who: str, count: int
) -> None:
    holder = await make_key() if who == "key" else await sign_up()
    as_person = isinstance(holder, SignedUp)
    schema = schemathesis.openapi.from_dict(app.openapi())
    known: dict[str, str] = {}
    failures, asked = [], 0
    for found in schema.get_all_operations():
        assert not isinstance(found, Err), "the document is valid"
        operation = found.ok()
        if (operation.method.upper(), operation.path) in LAST or (
            as_person and not operation.path.startswith("/v1/auth")
        ):
            continue
        if not known and not as_person:
            known = await make_known(holder.client, holder.project_id)
        for number, case in enumerate(generate(operation, count)):
            answer = await send(holder.client, case, known if number % 2 else {})
            asked += 1
            if answer.status_code >= 500 and answer.status_code != 501:
                failures.append(f"{case.as_curl_command()}\n{answer.status_code} {answer.text[:200]}")
        if operation.method.upper() == "DELETE":
            known = {}
    assert asked > 20
    assert not failures, "\n\n".join(failures)


def test_every_route_documents_its_errors(app: FastAPI) -> None:
    document = app.openapi()
    for method, path, operation in operations(document):
        answers = operation["responses"].keys()
        expected = set()
        if operation.get("security"):
            expected |= {"401", "403", "429"}
        if "{" in path:
            expected |= {"404"}
        if "requestBody" in operation:
            expected |= {"413", "422"}
        assert expected <= answers, (method, path)
        for status in answers:
            if status in expected:
                shape = operation["responses"][status]["content"]["application/json"]["schema"]
                assert shape == {"$ref": "#/components/schemas/Problem"}, (method, path, status)
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == {"detail", "code", "request_id"}


def test_public_routes_are_listed(app: FastAPI) -> None:
    open_to_all = {path for _, path, operation in operations(app.openapi()) if not operation.get("security")}
    assert {"/v1/auth/*" if path.startswith("/v1/auth/") else path for path in open_to_all} == PUBLIC


async def test_document_is_served_and_operation_ids_are_unique(anonymous: httpx.AsyncClient) -> None:
    document = (await anonymous.get("/openapi.json")).json()
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)) > 30


def examples(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON contents that need an example: of the body, and of each response without an error."""
    contents = {"body": operation["requestBody"]["content"]} if "requestBody" in operation else {}
    contents |= {
        status: response.get("content", {})
        for status, response in operation["responses"].items()
        if status.startswith("2")
    }
    for place, content in contents.items():
        if "application/json" in content:
            yield place, content["application/json"]


def descriptions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (
            value for name, value in node.items() if name in ("summary", "description") and isinstance(value, str)
        )
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from descriptions(child)


def empty_texts(example: Any, path: str = "") -> Iterator[str]:
    if isinstance(example, dict | list):
        children = example.items() if isinstance(example, dict) else enumerate(example)
        for name, child in children:
            yield from empty_texts(child, f"{path}.{name}")
    elif example == "":
        yield path


def test_operations_have_a_summary_a_description_and_a_known_tag(app: FastAPI) -> None:
    document = app.openapi()
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    used = {tag for _, _, operation in operations(document) for tag in operation.get("tags", ())}
    offenders = [
        f"{method} {path}"
        for method, path, operation in operations(document)
        if not (operation.get("summary") and operation.get("description") and len(operation.get("tags", ())) == 1)
    ]
    assert offenders == []
    assert used == tags


def test_operation_ids_are_plain_names(app: FastAPI) -> None:
    names = [operation["operationId"] for _, _, operation in operations(app.openapi())]
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)] == []
    assert [name for name in names if names.count(name) > 1] == []


def test_bodies_and_responses_have_a_valid_example(app: FastAPI) -> None:
    document = app.openapi()
    offenders = []
    for method, path, operation in operations(document):
        for place, content in examples(operation):
            schema = {**content["schema"], "components": document["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            problems = [error.message for error in validator.iter_errors(content.get("example"))]
            problems += [f"no value for {field}" for field in empty_texts(content.get("example"))]
            offenders += [f"{method} {path} {place}: {problem}" for problem in problems]
    assert offenders == []


def test_descriptions_use_plain_english(app: FastAPI) -> None:
    assert [text for text in descriptions(app.openapi()) if DIALECT.search(text)] == []
