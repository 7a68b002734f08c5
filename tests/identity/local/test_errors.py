from tests.identity.local.conftest import Provider, new_email


async def test_error_format_depends_on_the_api_version(provider: Provider) -> None:
    body = {"email": new_email(), "password": "short"}
    old = await provider.http.post("/signup", json=body)
    assert old.json()["code"] == 422
    assert old.json()["error_code"] == "weak_password"
    assert old.json()["msg"]
    new = await provider.http.post("/signup", json=body, headers={"X-Supabase-Api-Version": "2024-01-01"})
    assert new.json()["code"] == "weak_password"
    assert new.json()["weak_password"] == {"reasons": ["length"]}
    assert new.headers["X-Supabase-Api-Version"] == "2024-01-01"
    assert new.headers["x-sb-error-code"] == "weak_password"


async def test_invalid_bodies_and_unknown_routes_get_the_same_error_format(provider: Provider) -> None:
    bad = await provider.http.post("/signup", content="{", headers={"Content-Type": "application/json"})
    assert (bad.status_code, bad.json()["error_code"]) == (400, "bad_json")
    wrong = await provider.http.post("/signup", json={"email": ["secret word"]})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "validation_failed")
    assert "secret word" not in wrong.text
    assert (await provider.http.get("/nowhere")).json()["code"] == 404
    assert (await provider.http.get("/signup")).json()["code"] == 405
