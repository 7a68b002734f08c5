"""The operator pays for the model, and decides which models, how long answers and how many tokens a month."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from app.core.errors import TooManyRequests
from app.core.ports import ChatMessage, ModelOptions, Role
from app.core.resources import Resources
from app.main import create_app
from app.projects.token_usage import ask_model
from app.settings import Settings
from app.wiring import build_config
from tests.chat.conversation import AdminRows
from tests.conftest import KeyHolder, SignedUp, SignUp, open_client
from tests.model_server import ModelServer, Says

AnotherApp = Callable[..., httpx.AsyncClient]
HELLO = {"message": "Hello"}


def as_person(person: SignedUp, resources: Resources, **limits: object) -> httpx.AsyncClient:
    """A client of an app with budgets."""
    app = create_app(replace(resources, config=replace(resources.config, **limits)))  # type: ignore[arg-type]  # fields of Config
    return open_client(app, person.tokens["access_token"])


async def chat(client: httpx.AsyncClient, project_id: object) -> httpx.Response:
    return await client.post("/v1/chat", json=HELLO, headers={"X-Project-Id": str(project_id)})


async def create_project(client: httpx.AsyncClient) -> str:
    project_id: str = (await client.post("/v1/projects", json={"name": "Another"})).json()["id"]
    return project_id


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_model_that_is_not_allowed_is_refused_with_the_allowed_ones(
    another_app: AnotherApp, chat_resources: Resources, model_server: ModelServer, stream: bool
) -> None:
    config = replace(chat_resources.config, allowed_models=frozenset({"small", "medium"}))
    client = another_app(config=config)
    body = {**HELLO, "user_id": "ana", "stream": stream}
    refused = await client.post("/v1/chat", json={**body, "model": "huge"})
    assert (refused.status_code, refused.json()["code"]) == (400, "model_not_allowed")
    assert refused.json()["detail"] == "This server does not allow that model. Allowed: medium, small."
    assert (await client.get("/v1/sessions", params={"user_id": "ana"})).json()["results"] == []
    for model in ("small", None):
        assert (await client.post("/v1/chat", json={**body, "model": model})).status_code == 200
    assert [sent["model"] for sent in model_server.conversations] == ["small", "test-model"]


async def test_max_tokens_beyond_the_limit_are_refused(
    another_app: AnotherApp, chat_resources: Resources, model_server: ModelServer
) -> None:
    client = another_app(config=replace(chat_resources.config, max_tokens=500, answer_tokens=200))
    body = {**HELLO, "user_id": "ana"}
    refused = await client.post("/v1/chat", json={**body, "max_tokens": 501})
    assert (refused.status_code, refused.json()["code"]) == (400, "max_tokens_too_large")
    assert refused.json()["detail"] == "`max_tokens` is larger than this server allows. Send at most 500."
    for max_tokens in (500, None):
        assert (await client.post("/v1/chat", json={**body, "max_tokens": max_tokens})).status_code == 200
    assert [sent["max_tokens"] for sent in model_server.conversations] == [500, 200]


@pytest.mark.parametrize(
    ("values", "models", "max_tokens"),
    [
        ({}, {"gpt-5-mini"}, 4096),
        ({"llm_model": "a", "llm_allowed_models": "b, c", "llm_answer_tokens": 9000}, {"a", "b", "c"}, 9000),
        ({"llm_allowed_models": "*", "llm_max_tokens": 2000}, None, 2000),
    ],
    ids=["default", "several", "any"],
)
def test_only_the_configured_model_is_allowed_by_default(
    values: dict[str, object], models: set[str] | None, max_tokens: int
) -> None:
    config = build_config(Settings(_env_file=None, **values))
    assert (config.allowed_models, config.max_tokens) == (models, max_tokens)
    assert (config.account_token_budget, config.server_token_budget) == (None, None)


def test_budgets_of_the_settings_reach_the_app() -> None:
    config = build_config(Settings(_env_file=None, llm_account_tokens_per_month=10, llm_tokens_per_month=20))
    assert (config.account_token_budget, config.server_token_budget) == (10, 20)


async def test_account_budget_holds_across_projects_and_survives_their_deletion(
    sign_up: SignUp, chat_resources: Resources, model_server: ModelServer
) -> None:
    model_server.always(Says("Hi"))  # 11 + 1 tokens
    ann, bob = await sign_up(), await sign_up()
    client = as_person(ann, chat_resources, account_token_budget=24)
    second = await create_project(client)
    assert [(await chat(client, place)).status_code for place in (ann.project_id, second)] == [200, 200]
    for place in (ann.project_id, second):
        refused = await chat(client, place)
        assert (refused.status_code, refused.json()["code"]) == (429, "token_budget_used")
    assert refused.json()["detail"].startswith(
        "The owner of this project has used 24 tokens, its budget of this month."
    )
    assert 0 < int(refused.headers["Retry-After"]) <= 31 * 86400
    assert (await client.delete(f"/v1/projects/{second}")).status_code == 200
    third = await create_project(client)
    assert (await chat(client, third)).status_code == 429, "the tokens of a deleted project still count"
    organization = (await client.post("/v1/organizations", json={"name": "New"})).json()["id"]
    made = await client.post("/v1/projects", json={"name": "There", "organization_id": organization})
    assert (await chat(client, made.json()["id"])).status_code == 429
    assert (await client.delete(f"/v1/organizations/{organization}")).status_code == 200
    assert (await chat(as_person(bob, chat_resources, account_token_budget=24), bob.project_id)).status_code == 200
    assert len(model_server.conversations) == 3


async def test_deleted_organization_still_counts(
    sign_up: SignUp, chat_resources: Resources, admin_rows: AdminRows
) -> None:
    ann = await sign_up()
    client = as_person(ann, chat_resources)
    organization = (await client.post("/v1/organizations", json={"name": "New"})).json()["id"]
    made = await client.post("/v1/projects", json={"name": "There", "organization_id": organization})
    assert (await chat(client, made.json()["id"])).status_code == 200
    used = "select private.tokens_this_month(:account)"
    before = [await admin_rows.select_value(used, account=account) for account in (ann.account_id, None)]
    assert before[0] > 0
    await client.delete(f"/v1/organizations/{organization}")
    assert [await admin_rows.select_value(used, account=account) for account in (ann.account_id, None)] == before


async def test_server_budget_holds_for_chats_and_background_work(
    key_holder: KeyHolder,
    another_app: AnotherApp,
    chat_resources: Resources,
    model_server: ModelServer,
    admin_rows: AdminRows,
) -> None:
    used = await admin_rows.select_value("select private.tokens_this_month(null)")
    config = replace(chat_resources.config, server_token_budget=used + 5)
    resources, body = replace(chat_resources, config=config), {**HELLO, "user_id": "ana"}
    client = another_app(config=config)
    assert (await client.post("/v1/chat", json=body)).status_code == 200
    refused = await client.post("/v1/chat", json=body)
    assert (refused.status_code, refused.json()["code"]) == (429, "token_budget_used")
    assert refused.json()["detail"].startswith(f"This server has used {used + 5:,} tokens, its budget of this month.")
    with pytest.raises(TooManyRequests):
        await ask_model(resources, key_holder.project_id, [ChatMessage(Role.USER, "Summarise")], ModelOptions())
    assert len(model_server.requests) == 1


async def test_tokens_of_background_work_count(
    owner: SignedUp, chat_resources: Resources, admin_rows: AdminRows, model_server: ModelServer
) -> None:
    model_server.chat(Says("Summary"))
    await ask_model(chat_resources, owner.project_id, [ChatMessage(Role.USER, "Summarise")], ModelOptions())
    used = await admin_rows.select_value("select private.tokens_this_month(:id)", id=owner.account_id)
    assert used == 12
