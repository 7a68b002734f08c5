"""Tokens that the OAuth server of an identity provider issues to applications."""

import pytest

from app.identity.tokens import InvalidToken, Issuer, StaticKeys, verify
from tests.identity.test_tokens import ISSUER, ISSUERS, PUBLIC, good_claims, sign

RESOURCE = "https://memory.example.com/mcp"
OF_APPLICATION: dict[str, object] = {"client_id": "8a0d", "aud": RESOURCE, "scope": "openid memories:read"}
WITH_RESOURCE = [Issuer(ISSUER, StaticKeys([PUBLIC]), resource=RESOURCE)]


@pytest.mark.parametrize("audience", [RESOURCE, ["authenticated", RESOURCE]], ids=["alone", "besides"])
async def test_token_of_an_application_says_which_and_what_it_may_do(audience: object) -> None:
    claims = await verify(sign(good_claims(**{**OF_APPLICATION, "aud": audience})), WITH_RESOURCE)
    assert (claims.client_id, claims.scope) == ("8a0d", "openid memories:read")
    own = await verify(sign(good_claims()), WITH_RESOURCE)
    assert (own.client_id, own.scope) == (None, "")


@pytest.mark.parametrize(
    ("changes", "issuers"),
    [
        ({"aud": "authenticated"}, ISSUERS),
        ({}, ISSUERS),
        ({"aud": "authenticated"}, WITH_RESOURCE),
        ({"aud": ["authenticated", f"{RESOURCE}/x"]}, WITH_RESOURCE),
        ({"aud": {RESOURCE: 1}}, WITH_RESOURCE),
        ({"aud": [RESOURCE, 1]}, WITH_RESOURCE),
        ({"client_id": None}, WITH_RESOURCE),
        ({"client_id": ["8a0d"]}, WITH_RESOURCE),
        ({"client_id": ...}, WITH_RESOURCE),
    ],
    ids=[
        *("not allowed", "not allowed here", "for all", "for another", "no list", "no texts"),
        "null",
        "list",
        "no client",
    ],
)
async def test_token_of_an_application_is_only_for_the_resource_that_it_names(
    changes: dict[str, object], issuers: list[Issuer]
) -> None:
    """The OAuth server of Supabase signs for every application of a project with the keys of its sessions."""
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims(**{**OF_APPLICATION, **changes})), issuers)
