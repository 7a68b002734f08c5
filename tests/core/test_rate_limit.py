import dataclasses
import time
import uuid
from collections.abc import Sequence

import httpx
import pytest
from fastapi import FastAPI

from app.adapters.in_process import InProcessCounters
from app.core.errors import ConfigurationError, TooManyRequests
from app.core.observability.metrics import REGISTRY
from app.core.ports import CountedWindow, Counters
from app.core.rate_limit import LimitExceeded, RateLimit, RateLimits, Refusals, RequestSource, read_limit
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import PASSWORD, MakeKey, SignedUp, SignUp, open_client
from tests.core.conftest import MakeApp

PLENTY = 1_000_000
NAMES = ("user", "project", "account", "everyone", "chat")
UNLIMITED_AUTH = [("GET", "/v1/auth/me"), ("GET", "/v1/auth/mfa/factors"), ("DELETE", "/v1/auth/me")]


class RecordingCounters(InProcessCounters):
    def __init__(self, counted: list[str]) -> None:
        super().__init__()
        self._counted = counted

    async def hit(self, windows: Sequence[CountedWindow]) -> list[int]:
        self._counted.extend(window.key for window in windows)
        return await super().hit(windows)


def limits_of(counters: Counters | None = None, **amounts: int) -> RateLimits:
    """Windows of a day, so that none ends during a test."""
    each = {name: RateLimit(name, amounts.get(name, PLENTY), 86400) for name in NAMES}
    return RateLimits(
        counters or InProcessCounters(),
        user=each["user"],
        project=each["project"],
        account=each["account"],
        everyone=each["everyone"],
        chat=each["chat"],
    )


def source(caller: str, *, project: str = "p", organization: str = "o", account: str = "a") -> RequestSource:
    return RequestSource(caller, project, organization, account)


def limited(resources: Resources, **amounts: int) -> FastAPI:
    return create_app(dataclasses.replace(resources, limits=limits_of(None, **amounts)))


async def send_requests(app: FastAPI, credential: str, times: int = 1) -> list[httpx.Response]:
    async with open_client(app, credential) as client:
        return [await client.get("/v1/projects") for _ in range(times)]


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def throttled(limit: str) -> float:
    return REGISTRY.get_sample_value("keepsake_throttled_total", {"limit": limit}) or 0


def assert_refused(answer: httpx.Response, limit: int) -> None:
    assert answer.status_code == 429
    assert answer.json()["code"] == "rate_limited"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    wait = answer.headers["Retry-After"]
    assert wait.isdigit()
    assert int(wait) >= 1
    assert answer.headers["X-RateLimit-Limit"] == str(limit)
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) > time.time()


async def test_responses_contain_the_remaining_limit(resources: Resources, make_key: MakeKey) -> None:
    holder = await make_key()
    first, second, third = await send_requests(limited(resources, user=2), holder.key, 3)
    assert [first.headers["X-RateLimit-Remaining"], second.headers["X-RateLimit-Remaining"]] == ["1", "0"]
    assert first.headers["X-RateLimit-Limit"] == "2"
    assert_refused(third, 2)
    assert "Retry after" in third.json()["detail"]


async def test_each_user_has_a_limit(resources: Resources, make_key: MakeKey, sign_up: SignUp) -> None:
    app = limited(resources, user=2)
    one, two, person = await make_key(), await make_key(), await sign_up()
    before = throttled("user")
    assert statuses(await send_requests(app, one.key, 3)) == [200, 200, 429]
    assert statuses(await send_requests(app, two.key)) == [200], "another key of the same project"
    assert statuses(await send_requests(app, person.tokens["access_token"], 3)) == [200, 200, 429]
    assert throttled("user") == before + 2


async def test_keys_of_a_project_share_its_limit(resources: Resources, make_key: MakeKey, sign_up: SignUp) -> None:
    app = limited(resources, project=3)
    one, two = await make_key(), await make_key()
    assert statuses(await send_requests(app, one.key, 2)) == [200, 200]
    last, refused = await send_requests(app, two.key, 2)
    assert last.status_code == 200
    assert_refused(refused, 3)
    assert statuses(await send_requests(app, (await sign_up()).tokens["access_token"])) == [200], "another project"


async def test_all_callers_share_the_global_limit(resources: Resources, make_key: MakeKey, sign_up: SignUp) -> None:
    app = limited(resources, everyone=2)
    assert statuses(await send_requests(app, (await make_key()).key)) == [200]
    answers = await send_requests(app, (await sign_up()).tokens["access_token"], 2)
    assert statuses(answers) == [200, 429]
    assert_refused(answers[1], 1)


async def keys_of(account: SignedUp, *, projects: int, keys: int) -> list[str]:
    """API keys of one account, in projects of its own."""
    issued = []
    for number in range(projects):
        project = (await account.client.post("/v1/projects", json={"name": f"P{number}"})).json()["id"]
        for _ in range(keys):
            answer = await account.client.post(
                "/v1/api-keys", json={"name": "key", "scopes": ["projects:read"]}, headers={"X-Project-Id": project}
            )
            issued.append(answer.json()["key"])
    return issued


async def test_account_has_a_limit_with_all_its_keys_and_projects(resources: Resources, sign_up: SignUp) -> None:
    account, neighbour = await sign_up(), await sign_up()
    keys = await keys_of(account, projects=2, keys=2)
    app = limited(resources, account=3)
    before = throttled("organization") + throttled("account")
    answers = [(await send_requests(app, key))[0] for key in keys]
    assert statuses(answers) == [200, 200, 200, 429]
    assert_refused(answers[3], 3)
    assert statuses(await send_requests(app, account.tokens["access_token"])) == [429], "the person counts too"
    assert throttled("organization") + throttled("account") == before + 2
    assert statuses(await send_requests(app, neighbour.tokens["access_token"])) == [200]


async def test_flood_of_one_account_leaves_the_others_their_share(resources: Resources, sign_up: SignUp) -> None:
    account, neighbours = await sign_up(), [await sign_up(), await sign_up()]
    app = limited(resources, user=10, everyone=30)
    *keys, last = await keys_of(account, projects=2, keys=2)
    flood = [statuses(await send_requests(app, key, 10)) for key in keys]
    assert flood == [[200] * 10] * 3, "alone, an account may use everything"
    assert statuses(await send_requests(app, last)) == [429]
    for neighbour in neighbours:
        answers = await send_requests(app, neighbour.tokens["access_token"], 10)
        assert statuses(answers) == [200] * 10
    assert int(answers[-1].headers["X-RateLimit-Remaining"]) == 0, "a third of 30, and the limit of a caller"
    assert statuses(await send_requests(app, account.tokens["access_token"])) == [429]


async def test_global_limit_refuses_those_who_used_more_than_their_share() -> None:
    limits = limits_of(everyone=12)
    sent = {"a": 8, "b": 3, "c": 1}
    for account, times in sent.items():
        for _ in range(times):
            await limits.admit_request(source(account, account=account), hash(account))
    with pytest.raises(TooManyRequests) as refused:
        await limits.admit_request(source("a", account="a"), 1)
    assert refused.value.headers["X-RateLimit-Limit"] == "4", "12 for three accounts"
    assert (await limits.admit_request(source("b", account="b"), 2)).remaining == 0
    for left in (2, 1, 0):
        assert (await limits.admit_request(source("c", account="c"), 3)).remaining == left
    for account in ("b", "c"):
        with pytest.raises(TooManyRequests):
            await limits.admit_request(source(account, account=account), 4)


async def test_refused_credential_is_neither_looked_up_nor_counted_again(
    resources: Resources, make_key: MakeKey, sign_up: SignUp
) -> None:
    holder = await make_key()
    counted: list[str] = []
    limits = limits_of(RecordingCounters(counted), user=1)
    app = create_app(dataclasses.replace(resources, limits=limits))
    assert statuses(await send_requests(app, holder.key, 2)) == [200, 429]
    seen = len(counted)
    answers = await send_requests(app, holder.key, 2)
    assert statuses(answers) == [429, 429]
    assert_refused(answers[1], 1)
    assert len(counted) == seen
    assert statuses(await send_requests(app, (await sign_up()).tokens["access_token"])) == [200]


async def test_refused_credential_is_admitted_in_the_next_window() -> None:
    now = 1000.0
    refusals, source = Refusals(clock=lambda: now), RequestSource("caller", "project", "organization", "account")
    refusals.remember(1, RateLimit("user", 5, 30), source)
    refusals.remember(2, RateLimit("user", 5, 86_400), source)
    await refusals.check(3)
    for each in (1, 2):
        with pytest.raises(LimitExceeded):
            await refusals.check(each)
    now = 1020.0
    await refusals.check(1)
    with pytest.raises(LimitExceeded):
        await refusals.check(2)
    now = 1060.0
    await refusals.check(2)


async def test_unauthenticated_requests_are_limited_by_address_and_not_counted_globally(
    resources: Resources, make_key: MakeKey
) -> None:
    app = limited(resources, user=3, everyone=2)
    before = throttled("unauthenticated")
    holder = await make_key()
    forged = [
        await send_requests(app, credential) for credential in ("nonsense", holder.key[:-1] + "x", "a.b.c", "nonsense")
    ]
    assert [statuses(answers) for answers in forged] == [[401], [401], [401], [429]]
    assert_refused(forged[-1][0], 3)
    assert throttled("unauthenticated") == before + 1
    assert statuses(await send_requests(app, holder.key, 2)) == [200, 200]


async def test_chat_turns_are_limited_per_user(resources: Resources, make_key: MakeKey) -> None:
    holder = await make_key()
    body = {"message": "Hello", "user_id": "ana"}
    async with open_client(limited(resources, chat=2), holder.key) as client:
        answers = [await client.post("/v1/chat", json=body) for _ in range(3)]
        assert statuses(answers) == [200, 200, 429]
        assert_refused(answers[2], 2)
        assert (await client.get("/v1/projects")).status_code == 200, "only turns are counted"


async def test_counters_reset_when_their_window_ends() -> None:
    now = 1000.0
    counters = InProcessCounters(clock=lambda: now)
    windows = [CountedWindow("a", 10), CountedWindow("b", 10), CountedWindow("a", 60)]
    assert await counters.hit(windows) == [1, 1, 1]
    assert await counters.hit([windows[0], windows[2]]) == [2, 2]
    now = 1010.0
    assert await counters.hit([windows[0], windows[2]]) == [1, 3]


@pytest.mark.parametrize("words", ["", "often", "5", "0/minute", "-1/minute", "30/fortnight", "minute/30"])
def test_invalid_limit_is_refused_with_its_name(words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^RATE_LIMIT_USER is not a rate limit"):
        read_limit("rate_limit_user", words)


def test_limits_are_parsed() -> None:
    assert read_limit("rate_limit_user", "30/minute") == RateLimit("user", 30, 60)
    assert read_limit("rate_limit_chat", "5 per 2 hours") == RateLimit("chat", 5, 7200)


async def test_tightest_limit_refuses() -> None:
    limits = limits_of(user=1, chat=1)
    allowance = await limits.admit_request(source("ana"), 1)
    assert (allowance.limit, allowance.remaining) == (1, 0)
    with pytest.raises(TooManyRequests):
        await limits.admit_request(source("ana"), 1)
    assert await limits.admit_request(source("bob"), 2)
    await limits.admit_chat("ana")
    with pytest.raises(TooManyRequests):
        await limits.admit_chat("ana")


SIGN_IN_FIELDS = {"email": "nobody@example.com", "password": PASSWORD, "refresh_token": "x", "type": "signup"}
SIGN_IN_FIELDS |= {"scope": "others", "token_hash": "x", "factor_id": str(uuid.uuid4()), "code": "000000"}


def fields_of(app: FastAPI, method: str, path: str) -> list[str]:
    """The fields of a route's body, of which it refuses unknown ones."""
    operation = app.openapi()["paths"][path][method.lower()]
    if "requestBody" not in operation:
        return []
    content = operation["requestBody"]["content"]["application/json"]["schema"]
    reference = next(each for each in [content, *content.get("anyOf", [])] if "$ref" in each)["$ref"]
    return list(app.openapi()["components"]["schemas"][reference.rpartition("/")[2]]["properties"])


async def test_each_sign_in_route_has_its_own_limit(make_app: MakeApp, sign_up: SignUp) -> None:
    """slowapi silently ignores a route if its decorator is in the wrong place."""
    app = make_app(auth_limit="2/day")
    token = (await sign_up()).tokens["access_token"]
    async with open_client(app, token) as client:
        paths = app.openapi()["paths"]
        routes = [(m.upper(), p) for p, methods in paths.items() if p.startswith("/v1/auth/") for m in methods]
        assert len(routes) >= 9
        for method, path in routes:
            if (method, path) in UNLIMITED_AUTH:
                continue
            body = {name: value for name, value in SIGN_IN_FIELDS.items() if name in fields_of(app, method, path)}
            url = path.replace("{factor_id}", str(uuid.uuid4()))
            answers = [await client.request(method, url, json=body or None) for _ in range(3)]
            assert 429 not in statuses(answers[:2]), (method, path)
            assert 422 not in statuses(answers), (method, path, answers[0].text)
            assert_refused(answers[2], 2)


async def test_sign_in_limits_are_per_address(make_app: MakeApp) -> None:
    app = make_app(auth_limit="2/month")
    body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD}

    async def log_in(address: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 1234), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.post("/v1/auth/login", json=body)).status_code

    assert [await log_in("192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert await log_in("192.0.2.2") == 401
