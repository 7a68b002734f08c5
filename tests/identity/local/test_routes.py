from tests.identity.local.conftest import Provider


async def test_health_settings_and_keys_need_no_credential(provider: Provider) -> None:
    assert (await provider.http.get("/health")).json()["name"]
    assert (await provider.http.get("/settings")).json()["mailer_autoconfirm"] is True
    answer = await provider.http.get("/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=600"
    (key,) = answer.json()["keys"]
    assert key["alg"] == "ES256"
    assert "d" not in key
