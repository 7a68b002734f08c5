import base64
import datetime as dt
import uuid
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.database.pagination import read_cursor, write_cursor
from app.core.errors import BadRequest


@dataclass(frozen=True)
class Row:
    id: uuid.UUID
    created_at: dt.datetime


moments = st.datetimes(min_value=dt.datetime(1, 1, 3), max_value=dt.datetime(9999, 12, 29), timezones=st.timezones())


def spell(words: str) -> str:
    return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


@given(moments, st.uuids())
def test_cursor_decodes_to_its_row(created_at: dt.datetime, row_id: uuid.UUID) -> None:
    assert read_cursor(write_cursor(Row(row_id, created_at))) == (created_at.astimezone(dt.UTC), row_id)


@given(st.text(max_size=200))
def test_invalid_cursor_is_a_bad_request(anything: str) -> None:
    with pytest.raises(BadRequest, match="Pass the `next` of the previous page"):
        read_cursor(anything)


@given(st.text(max_size=60), st.text(max_size=60))
def test_encoded_text_is_a_cursor_or_a_bad_request(moment: str, row_id: str) -> None:
    try:
        created_at, _ = read_cursor(base64.urlsafe_b64encode(f"{moment}|{row_id}".encode(errors="replace")).decode())
    except BadRequest:
        return
    assert created_at.tzinfo is dt.UTC


@pytest.mark.parametrize(
    "moment",
    [
        *(
            "",
            "yesterday",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "0001-01-01T00:00:00+23:59",
            "2026-01-01T00:00:00+25:00",
        ),
        *("9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00+23:59", "0001-01-01T00:00:00+00:00", "\x00"),
        *("2026-01-01T00:00:00+00:00:01", "2026-01-01T00:00:00+00:00:00.000001", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
async def test_cursor_with_any_timestamp_is_not_a_server_error(client: httpx.AsyncClient, moment: str) -> None:
    cursor = spell(f"{moment}|{uuid.uuid4()}")
    answer = await client.get("/v1/api-keys", params={"cursor": cursor})
    assert answer.status_code in (200, 400), answer.text
    assert (await client.get("/v1/api-keys", params={"cursor": "not ours"})).status_code == 400


async def test_pages_return_every_row_once(client: httpx.AsyncClient) -> None:
    made = {(await client.post("/v1/api-keys", json={"name": f"key {n}"})).json()["id"] for n in range(5)}
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await client.get("/v1/api-keys", params=params)).json()
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert len(seen) == len(set(seen)) == 6
    assert made < set(seen)
    times = [(await client.get(f"/v1/api-keys/{one}")).json()["created_at"] for one in seen]
    assert times == sorted(times, reverse=True)
