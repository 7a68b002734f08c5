"""Only tokens that a trusted issuer signed for an account are accepted."""

import base64
import json
import time
import uuid
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from jose import jwk as jose_jwk
from jose import jws, jwt

from app.core.errors import ConfigurationError, Unauthorized
from app.identity.local.security.keys import new_key, public_half
from app.identity.tokens import Claims, InvalidToken, Issuer, Jwk, StaticKeys, Verifier, verify

ISSUER = "http://127.0.0.1:8000/auth/v1"
KEY = new_key()
PUBLIC = public_half(KEY)
SUBJECT, SESSION = uuid.uuid4(), uuid.uuid4()
ISSUERS = [Issuer(ISSUER, StaticKeys([PUBLIC]))]
SECRET = b"an old project's shared secret, long enough"
SHARED: Jwk = {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()}


def good_claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": "authenticated",
        "sub": str(SUBJECT),
        "session_id": str(SESSION),
        "role": "authenticated",
        "email": "ada@example.com",
        "iat": now,
        "exp": now + 3600,
        "aal": "aal1",
        "is_anonymous": False,
    }
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


def sign(claims: Mapping[str, object], key: Jwk = KEY, **headers: object) -> str:
    token: str = jwt.encode(dict(claims), dict(key), str(key["alg"]), headers={"kid": key.get("kid"), **headers})
    return token


def encode(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def check(token: str) -> Claims:
    return await verify(token, ISSUERS)


async def test_valid_token_returns_account_and_session() -> None:
    claims = await check(sign(good_claims()))
    assert (claims.subject, claims.session_id, claims.issuer) == (SUBJECT, SESSION, ISSUER)
    assert claims.email == "ada@example.com"
    assert claims.assurance == "aal1"
    assert not claims.is_anonymous


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "anon"},
        {"aud": ["authenticated"]},
        {"aud": ...},
        {"iss": "https://evil.example/auth/v1"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"iss": ...},
        {"exp": 1},
        {"exp": int(time.time()) - 31},
        {"exp": ...},
        {"exp": "9999999999"},
        {"exp": 9e9},
        {"exp": True},
        {"exp": [9999999999]},
        {"exp": None},
        {"iat": int(time.time()) + 3600},
        {"iat": ...},
        {"iat": True},
        {"iat": {}},
        {"nbf": int(time.time()) + 3600},
        {"nbf": []},
        {"sub": "ada"},
        {"sub": ""},
        {"sub": 1},
        {"sub": ...},
        {"session_id": ...},
        {"session_id": "latest"},
        {"role": "service_role"},
        {"role": "anon"},
        {"role": ...},
    ],
)
async def test_token_with_wrong_claims_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidToken):
        await check(sign(good_claims(**changes)))


async def test_service_keys_of_older_projects_are_refused() -> None:
    issuers = [Issuer("supabase", StaticKeys([SHARED]), frozenset({"HS256"}))]
    for role in ("anon", "service_role"):
        key = {"iss": "supabase", "ref": "abc", "role": role, "iat": 1, "exp": 4_000_000_000}
        with pytest.raises(InvalidToken):
            await verify(sign(key, SHARED), issuers)


async def test_token_times_allow_a_clock_difference_of_30_seconds() -> None:
    now = int(time.time())
    await check(sign(good_claims(exp=now - 20)))
    await check(sign(good_claims(iat=now + 20)))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "ES384", "", None, 5, ["ES256"]])
async def test_unsigned_token_and_other_algorithms_are_refused(algorithm: object) -> None:
    header = encode({"alg": algorithm, "typ": "JWT", "kid": KEY["kid"]})
    for signature in ("", encode(b"x" * 64)):
        with pytest.raises(InvalidToken):
            await check(f"{header}.{encode(good_claims())}.{signature}")


def public_bytes() -> list[bytes]:
    """The public key in every encoding that a forger could use as a shared secret."""
    key = jose_jwk.construct(dict(PUBLIC), "ES256").prepared_key
    info, pem = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.PEM
    point = serialization.PublicFormat.UncompressedPoint
    return [
        key.public_bytes(pem, info),
        key.public_bytes(serialization.Encoding.DER, info),
        key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        key.public_bytes(serialization.Encoding.X962, point),
        json.dumps(PUBLIC).encode(),
        str(PUBLIC["x"]).encode(),
        b"",
    ]


@pytest.mark.parametrize("secret", public_bytes(), ids=["pem", "der", "ssh", "point", "jwk", "x", "empty"])
@pytest.mark.parametrize("claimed", ["HS256", "ES256"])
async def test_public_key_cannot_be_used_as_a_shared_secret(secret: bytes, claimed: str) -> None:
    shared = {"kty": "oct", "k": encode(secret)}
    signing_input = f"{encode({'alg': claimed, 'typ': 'JWT', 'kid': KEY['kid']})}.{encode(good_claims())}"
    signature = jose_jwk.construct(shared, "HS256").sign(signing_input.encode())
    with pytest.raises(InvalidToken):
        await check(f"{signing_input}.{encode(signature)}")


async def test_key_inside_the_token_is_ignored() -> None:
    other = new_key()
    for header in ({"jwk": dict(public_half(other))}, {"jku": "http://evil.example"}, {"x5u": "http://evil.example"}):
        with pytest.raises(InvalidToken):
            await check(sign(good_claims(), {**other, "kid": KEY["kid"]}, **header))


async def test_critical_extension_is_refused() -> None:
    for crit in (["b64"], [], "exp"):
        with pytest.raises(InvalidToken):
            await check(sign(good_claims(), crit=crit))


@pytest.mark.parametrize("kid", [None, "unknown", 5, ["a"], ""])
async def test_token_without_a_known_key_id_is_refused(kid: object) -> None:
    header = {"alg": "ES256", "typ": "JWT", "kid": kid}
    with pytest.raises(InvalidToken):
        await check(jws.sign(good_claims(), dict(KEY), headers=header, algorithm="ES256"))


async def test_issuer_keys_verify_only_tokens_of_that_issuer() -> None:
    other_key = new_key()
    other = Issuer("https://ref.supabase.co/auth/v1", StaticKeys([public_half(other_key)]))
    issuers = [*ISSUERS, other]
    assert (await verify(sign(good_claims(iss=other.name), other_key), issuers)).issuer == other.name
    await verify(sign(good_claims()), issuers)
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims(iss=other.name)), issuers)
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims(), other_key), issuers)


async def test_shared_secret_must_be_the_only_key_of_its_issuer() -> None:
    issuers = [Issuer(ISSUER, StaticKeys([SHARED]), frozenset({"HS256"}))]
    for headers in ({}, {"kid": "any"}):
        assert (await verify(sign(good_claims(), SHARED, **headers), issuers)).subject == SUBJECT
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims()), issuers)
    for mixed in ({"HS256", "ES256"}, {"HS256", "RS256"}, set(), {"none"}):
        with pytest.raises(ConfigurationError):
            Issuer(ISSUER, StaticKeys([SHARED]), frozenset(mixed))


async def test_key_of_another_algorithm_family_is_never_used() -> None:
    shared = {**SHARED, "kid": "shared"}
    issuers = [Issuer(ISSUER, StaticKeys([PUBLIC, shared]))]
    await verify(sign(good_claims()), issuers)
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims(), shared), issuers)


async def test_key_without_an_algorithm_is_never_used() -> None:
    unnamed = {name: value for name, value in PUBLIC.items() if name != "alg"}
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims()), [Issuer(ISSUER, StaticKeys([unnamed]))])


def test_issuer_cannot_be_listed_twice() -> None:
    with pytest.raises(ConfigurationError):
        Verifier([*ISSUERS, *ISSUERS])


SHARED_ISSUER = Issuer(ISSUER, StaticKeys([SHARED]), frozenset({"HS256"}))


async def test_issuer_that_changes_its_algorithms_is_accepted_with_both_and_each_has_its_own_keys() -> None:
    issuers = [*ISSUERS, SHARED_ISSUER]
    Verifier(issuers)
    for key in (KEY, SHARED):
        assert (await verify(sign(good_claims(), key), issuers)).subject == SUBJECT
    public_as_secret = {"kty": "oct", "alg": "HS256", "kid": PUBLIC["kid"], "k": encode(json.dumps(PUBLIC).encode())}
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims(), public_as_secret), issuers)
    with pytest.raises(InvalidToken):
        await verify(sign(good_claims(), new_key()), issuers)


async def test_token_without_an_issuer_is_accepted_only_where_that_is_listed() -> None:
    nameless = Issuer(None, StaticKeys([PUBLIC]))
    token = sign(good_claims(iss=...))
    assert (await verify(token, [nameless])).issuer == ""
    with pytest.raises(InvalidToken):
        await verify(token, ISSUERS)
    for named in (ISSUER, "", None):
        with pytest.raises(InvalidToken):
            await verify(sign(good_claims(iss=named)), [nameless])


async def test_verifier_verifies_a_token_again_after_a_minute() -> None:
    keys, now = CountingKeys(), [time.time()]
    verifier = Verifier([Issuer(ISSUER, keys)], clock=lambda: now[0])
    token = sign(good_claims())
    for seconds, lookups in ((0, 1), (59, 1), (2, 2)):
        now[0] += seconds
        await verifier.verify(token)
        assert keys.lookups == lookups


@given(st.data())
@settings(max_examples=300, deadline=None)
async def test_changed_token_is_refused(data: st.DataObject) -> None:
    token = sign(good_claims())
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.characters() | st.sampled_from("ABab01-_.="))
    changed = data.draw(
        st.sampled_from(
            [token[:at] + put + token[at + 1 :], token[:at] + put + token[at:], token[:at], token[at + 1 :]]
        )
    )
    try:
        claims = await check(changed)
    except InvalidToken:
        return
    # The last character of a base64 part has unused bits, so a changed text can encode the same bytes.
    assert claims == await check(token)
    assert decoded(changed) == decoded(token)


def decoded(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "cty"]), json_values),
    json_values,
    st.binary(max_size=80),
)
@settings(max_examples=300, deadline=None)
async def test_random_token_parts_are_refused(header: object, claims: object, signature: bytes) -> None:
    with pytest.raises(InvalidToken):
        await check(f"{encode(header)}.{encode(claims)}.{encode(signature)}")


@given(
    st.sampled_from(["iss", "aud", "sub", "session_id", "role", "iat", "exp", "nbf", "email", "aal", "jti", "at_hash"]),
    json_values,
)
@settings(max_examples=300, deadline=None)
async def test_random_signed_claims_are_accepted_or_refused_cleanly(name: str, value: object) -> None:
    """The signature is valid, so only our reading of the claims protects against odd values."""
    signing_input = f"{encode({'alg': 'ES256', 'kid': KEY['kid']})}.{encode(good_claims(**{name: value}))}"
    signature = jose_jwk.construct(dict(KEY), "ES256").sign(signing_input.encode())
    try:
        claims = await check(f"{signing_input}.{encode(signature)}")
    except InvalidToken:
        return
    assert (claims.subject, claims.session_id) == (SUBJECT, SESSION) or name in ("sub", "session_id")


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"))
@settings(max_examples=300, deadline=None)
async def test_random_text_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized):
        await Verifier(ISSUERS).verify(token)


@pytest.mark.parametrize("part", [b"[" * 20_000, b'{"a":' * 5_000, b"1" * 20_000, b"\xff\xfe", b"null", b'"text"'])
async def test_hostile_json_is_refused(part: bytes) -> None:
    for token in (f"{encode(part)}.{encode(good_claims())}.eHh4", f"{encode({'alg': 'ES256'})}.{encode(part)}.eHh4"):
        with pytest.raises(InvalidToken):
            await check(token)


async def test_oversized_token_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidToken):
        await check(sign(good_claims(filler="x" * 40_000)))


async def test_verifier_caches_a_token_until_it_expires() -> None:
    keys = CountingKeys()
    verifier = Verifier([Issuer(ISSUER, keys)])
    token = sign(good_claims())
    assert await verifier.verify(token) == await verifier.verify(token)
    assert keys.lookups == 1
    expired = sign(good_claims(exp=int(time.time()) - 5))
    await verifier.verify(expired)
    await verifier.verify(expired)
    assert keys.lookups == 3


async def test_verifier_purge_drops_tokens_and_keys_and_the_cache_is_bounded() -> None:
    keys = CountingKeys()
    verifier = Verifier([Issuer(ISSUER, keys)], remember=2)
    tokens = [sign(good_claims(email=f"{number}@example.com")) for number in range(3)]
    for token in tokens:
        await verifier.verify(token)
    await verifier.verify(tokens[2])
    assert keys.lookups == 3
    await verifier.verify(tokens[0])
    assert keys.lookups == 4
    verifier.purge()
    await verifier.verify(tokens[0])
    assert (keys.lookups, keys.purged) == (5, 1)


class CountingKeys:
    def __init__(self) -> None:
        self.lookups = self.purged = 0

    async def find(self, kid: str | None) -> Jwk | None:
        self.lookups += 1
        return PUBLIC

    def purge(self) -> None:
        self.purged += 1
