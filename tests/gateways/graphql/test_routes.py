"""Callers, scopes, limits and errors are those of every other route."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from graphql import get_introspection_query

from app.core.resources import Resources
from app.gateways.graphql.limits import MAX_CALLS, MAX_VALUES
from app.gateways.graphql.server import CORE, read_query
from app.main import create_app
from tests.conftest import KeyHolder, MakeKey, SignedUp, open_client
from tests.e2e.loopback import with_failing_index, with_request_limit
from tests.gateways.graphql.conftest import GraphqlClient
from tests.gateways.graphql.test_fields import add
from tests.patience import PATIENCE_SECONDS

ANY = 'where: {filters: {user_id: "*"}}'
COUNT = f"{{ memories({ANY}) {{ count }} }}"
THREE = f"{{ a: memories({ANY}) {{ count }} b: memories({ANY}) {{ count }} c: memories({ANY}) {{ count }} }}"
FRAGMENTS = 60
DEEP = "{ memories { results { history " + "{ id " * 20 + "}" * 20 + " } } }"
BOMB = "{ memories { ...f0 } } " + " ".join(
    f"fragment f{place} on MemoryPage {{ ...f{place + 1} ...f{place + 1} }}" for place in range(FRAGMENTS)
)
ATTACKS = {
    "depth": DEEP,
    "fields": "{ memories {" + " ... { count }" * 501 + " } }",
    "repeated fields": "{ memories {" + " count" * 50 + " } }",
    "aliases": "{" + " ".join(f"a{place}: profile(id: 1) {{ id }}" for place in range(31)) + "}",
    "tokens": "{ memories {" + " count" * 2000 + " } }",
    "nested lists": "{ memories(where: {filters: " + "[" * 900 + "]" * 900 + "}) { count } }",
    "fragments": f"{BOMB} fragment f{FRAGMENTS} on MemoryPage {{ count }}",
    "rows": "{ memories(page_size: 1000) { results { id memory metadata user_id created_at } } }",
    "nested rows": '{ sessions(user_id: "a", limit: 200) { results { messages(limit: 200) { results { id } } } } }',
    "calls": "{ memories(page_size: 40) { results { history { id } } } }",
    "schema": '{ a: __type(name: "Query") { name } b: __type(name: "Query") { name } c: __schema { types { name } } }',
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_query_that_costs_too_much_is_refused(
    attack: str, graphql: GraphqlClient, introspecting: GraphqlClient
) -> None:
    client = introspecting if attack == "schema" else graphql
    refused = await client.refusal(ATTACKS[attack])
    assert (refused["code"], refused["status"]) == ("query_too_costly", 400)


async def test_rows_are_counted_in_variables_and_defaults_too(graphql: GraphqlClient) -> None:
    fields = "{ results { id memory metadata user_id agent_id } }"
    for query in (
        f"query Q($size: Int!) {{ memories(page_size: $size, {ANY}) {fields} }}",
        f"query Q($size: Int! = 1000) {{ memories(page_size: $size, {ANY}) {fields} }}",
    ):
        size = {"size": 1000} if "=" not in query else {}
        assert (await graphql.refusal(query, **size))["code"] == "query_too_costly"
        assert (await graphql.use(query, size=2))["memories"] == {"results": []}
        assert (await graphql.refusal(query, size=1000.0))["code"] == "query_too_costly", "1000.0 is an Int, too"
    assert str(MAX_VALUES) in (await graphql.refusal(ATTACKS["rows"]))["message"]
    assert str(MAX_CALLS) in (await graphql.refusal(ATTACKS["calls"]))["message"]


@pytest.mark.parametrize(
    "query",
    [
        "{ nothing }",
        "{",
        "query A { memories { count } } query B { memories { count } }",
        "{ memories }",
        "subscription { memories { count } }",
        "{ __schema { types { name } } }",
        "fragment f on Query { __typename }",
        "{ memories { ...f } } fragment f on MemoryPage { ...f }",
        "query Q($a: Int!) { memories(page: $a) { count } }",
    ],
)
async def test_a_query_that_is_not_valid_is_refused(graphql: GraphqlClient, query: str) -> None:
    refused = await graphql.refusal(query)
    assert (refused["code"], refused["status"]) == ("invalid_query", 400)
    assert refused["message"]


@pytest.mark.parametrize("body", [[{"query": COUNT}], {}, {"query": ""}, {"query": COUNT, "variables": "x"}, "text"])
async def test_a_body_that_is_no_request_is_refused(graphql: GraphqlClient, body: object) -> None:
    """A list of queries is one, too: it would count as a single request."""
    response = await graphql.http.post("/graphql", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["extensions"]["code"] == "invalid_request"


async def test_a_value_that_is_not_valid_is_named_without_repeating_it(graphql: GraphqlClient) -> None:
    refused = await graphql.refusal('{ search(query: "tea", where: {threshold: 2.75}) { answerable } }')
    assert (refused["code"], refused["status"]) == ("invalid_request", 422)
    assert "`threshold`" in refused["message"]
    assert "2.75" not in refused["message"]
    refused = await graphql.refusal("{ messages(limit: 201) { next } }")
    assert (refused["code"], refused["message"][:7]) == ("invalid_request", "`limit`")


async def test_null_where_a_field_needs_a_value_is_the_fault_of_the_query(graphql: GraphqlClient) -> None:
    query = f"query Q($size: Int) {{ memories(page_size: $size, {ANY}) {{ count }} }}"
    refused = await graphql.refusal(query, size=None)
    assert (refused["code"], refused["status"], "page_size" in refused["message"]) == ("invalid_query", 400, True)
    assert (await graphql.use(query))["memories"] == {"count": 0}, "without a value, the default is used"


async def test_what_fails_in_one_field_leaves_the_others(graphql: GraphqlClient) -> None:
    await add(graphql, "I like green tea")
    query = f'{{ memory(id: "{uuid.uuid4()}") {{ id }} memories(where: {{filters: {{user_id: "ann"}}}}) {{ count }} }}'
    response = await graphql.post(query)
    assert response.status_code == 200
    answer = response.json()
    assert answer["data"] == {"memory": None, "memories": {"count": 1}}
    assert [each["path"] for each in answer["errors"]] == [["memory"]]
    assert answer["errors"][0]["extensions"]["status"] == 404


async def test_an_unexpected_failure_tells_nothing(resources: Resources, key_holder: KeyHolder) -> None:
    query = f"query Q($query: String!) {{ search(query: $query, {ANY}) {{ answerable }} }}"
    async with open_client(with_failing_index(resources), key_holder.key) as http:
        client = GraphqlClient(http)
        found = {kind: await client.refusal(query, query=kind) for kind in ("fail with 500", "fail with 503")}
    assert (found["fail with 500"]["code"], found["fail with 500"]["status"]) == ("internal_error", 500)
    assert "mistake" not in json.dumps(found)
    assert (found["fail with 503"]["code"], found["fail with 503"]["retry_after"]) == ("unavailable", 7)


@pytest.mark.parametrize("credential", ["Bearer ks_wrong", "Bearer eyJhbGciOiJub25lIn0.e30.", ""])
async def test_a_wrong_credential_is_refused_as_on_other_routes(app_url: str, credential: str) -> None:
    headers = {"Authorization": credential} if credential else {}
    async with httpx.AsyncClient(base_url=app_url, headers=headers, timeout=PATIENCE_SECONDS) as client:
        response = await client.post("/graphql", json={"query": COUNT})
        plain = await client.get("/v1/profiles")
    (error,) = response.json()["errors"]
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (error["message"], error["extensions"]["code"]) == (plain.json()["detail"], plain.json()["code"])


@pytest.mark.parametrize("header", ["Token", "X-API-Key"])
async def test_a_key_is_accepted_in_every_way(app_url: str, key_holder: KeyHolder, header: str) -> None:
    headers = {"Authorization": f"Token {key_holder.key}"} if header == "Token" else {header: key_holder.key}
    async with httpx.AsyncClient(base_url=app_url, headers=headers, timeout=PATIENCE_SECONDS) as client:
        response = await client.post("/graphql", json={"query": COUNT, "extensions": {}, "operationName": None})
    assert response.json() == {"data": {"memories": {"count": 0}}}
    assert response.headers["X-RateLimit-Limit"]


async def test_an_account_reads_its_own(owner: SignedUp) -> None:
    client = GraphqlClient(owner.client)
    shown = await client.use("{ profiles { results { user_id } } memories { count } }")
    assert shown == {"profiles": {"results": [{"user_id": str(owner.account_id)}]}, "memories": {"count": 0}}


async def test_a_scope_is_required_for_each_field(make_key: MakeKey) -> None:
    client = GraphqlClient((await make_key("memories:read")).client)
    assert (await client.use(COUNT))["memories"]["count"] == 0
    refused = [
        await client.refusal('{ profiles(user_id: "ann") { next } }'),
        await client.refusal('{ sessions(user_id: "ann") { next } }'),
        await client.refusal(f'mutation {{ archive_memory(id: "{uuid.uuid4()}") {{ id }} }}'),
        await client.refusal(f'mutation {{ delete_session(id: "{uuid.uuid4()}") {{ message }} }}'),
    ]
    assert [(each["code"], each["status"]) for each in refused] == [("forbidden", 403)] * 4


async def test_another_project_sees_nothing(graphql: GraphqlClient, make_key: MakeKey, owner: SignedUp) -> None:
    (memory_id,) = await add(graphql, "I like green tea")
    stranger = GraphqlClient((await make_key(project=owner.project_id)).client)
    assert (await stranger.refusal(f'{{ memory(id: "{memory_id}") {{ id }} }}'))["code"] == "not_found"
    shown = await stranger.use('{ memories(where: {filters: {user_id: "ann"}}) { count } }')
    assert shown["memories"]["count"] == 0
    refused = await stranger.refusal(f'mutation {{ delete_memory(id: "{memory_id}") {{ message }} }}')
    assert refused["code"] == "not_found"


async def test_each_field_counts_as_a_request(resources: Resources, key_holder: KeyHolder) -> None:
    async with open_client(with_request_limit(resources, requests=5), key_holder.key) as http:
        client = GraphqlClient(http)
        await client.use(THREE)
        response = await client.post(THREE)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (429, "rate_limited")
    assert "data" not in response.json()
    assert response.headers["Retry-After"]


@pytest_asyncio.fixture
async def introspecting(resources: Resources, key_holder: KeyHolder) -> AsyncIterator[GraphqlClient]:
    config = replace(resources.config, graphql_introspection=True)
    async with open_client(create_app(replace(resources, config=config)), key_holder.key) as http:
        yield GraphqlClient(http)


async def test_schema_is_shown_if_the_setting_allows_it(introspecting: GraphqlClient, graphql: GraphqlClient) -> None:
    shown = await introspecting.use(get_introspection_query())
    names = {each["name"] for each in shown["__schema"]["types"]}
    assert {name for name in CORE.type_map if not name.startswith("__")} <= names
    refusal = await graphql.refusal(get_introspection_query())
    assert (refusal["code"], refusal["message"].count("GRAPHQL_INTROSPECTION")) == ("invalid_query", 1)


@pytest.mark.usefixtures("debug_logging")
async def test_content_is_in_no_log_and_in_no_kept_query(
    graphql: GraphqlClient, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = f"S{uuid.uuid4().hex}"
    await add(graphql, f"My word is {secret}")
    where = f'where: {{filters: {{user_id: "{secret}"}}}}'
    await graphql.use(f'{{ memories({where}) {{ count }} search(query: "{secret}", {where}) {{ answerable }} }}')
    await graphql.refusal(f'{{ memories(page: "{secret}") {{ count }} }}')
    await graphql.refusal("query Q($page: Int!) { memories(page: $page) { count } }", page=secret)
    assert secret not in "".join(capfd.readouterr())


async def test_only_queries_without_texts_are_kept() -> None:
    query = "query Q($where: MemoryFilter) { memories(where: $where) { count } }"
    assert read_query(query, introspection=False) is read_query(query, introspection=False)
    named = '{ messages(where: {tenant_id: "t"}) { next } }'
    assert read_query(named, introspection=False) is not read_query(named, introspection=False)


async def test_only_post_is_answered(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": COUNT})
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (405, "method_not_allowed")
