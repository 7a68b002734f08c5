import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.errors import ConfigurationError
from app.identity.local.provider import local_issuer
from app.identity.local.security.keys import (
    KEYS_FILE,
    SECRET_FILE,
    SigningKeys,
    load_or_create_keys,
    load_or_create_secret,
    new_key,
    parse_keys,
    save_keys,
)
from app.identity.tokens import InvalidToken, verify
from tests.identity.test_tokens import ISSUER, good_claims


def test_keys_are_created_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first, secret = load_or_create_keys(folder), load_or_create_secret(folder)
    assert load_or_create_keys(folder) == first
    assert load_or_create_secret(folder) == secret
    assert secret.startswith("sb_secret_")
    for name in (KEYS_FILE, SECRET_FILE):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert {path.name for path in folder.iterdir()} == {KEYS_FILE, SECRET_FILE}


def test_key_file_readable_by_others_is_made_private(tmp_path: Path) -> None:
    load_or_create_keys(tmp_path)
    (tmp_path / KEYS_FILE).chmod(0o644)
    load_or_create_keys(tmp_path)
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600


def test_concurrent_starts_share_one_key(tmp_path: Path) -> None:
    """Threads stand for processes: each opens the folder itself, and the lock belongs to the open folder."""
    with ThreadPoolExecutor(8) as together:
        found = together.map(load_or_create_keys, [tmp_path] * 16)
    assert len({keys.current["kid"] for keys in found}) == 1


KEY = new_key()


INVALID_FILES = ["", "{", "[]", "{}", "5", '["key"]']


INVALID_FILES += [json.dumps({**KEY, **changes}) for changes in ({"d": "AAAA"}, {"alg": "HS256"}, {"kid": 5})]


INVALID_FILES += [
    json.dumps({name: value for name, value in KEY.items() if name != missing}) for missing in ("d", "kid", "x")
]


@pytest.mark.parametrize("text", INVALID_FILES, ids=range(len(INVALID_FILES)))
def test_invalid_key_file_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / KEYS_FILE).write_text(text)
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        load_or_create_keys(tmp_path)


async def test_rotated_key_signs_and_the_old_one_still_verifies(tmp_path: Path) -> None:
    old = load_or_create_keys(tmp_path)
    save_keys(tmp_path, SigningKeys((new_key(), *old.keys)))
    both = load_or_create_keys(tmp_path)
    assert both.current["kid"] != old.current["kid"]
    for keys in (old, both):
        await verify(keys.sign(good_claims()), [local_issuer(both, ISSUER)])
    with pytest.raises(InvalidToken):
        await verify(both.sign(good_claims()), [local_issuer(old, ISSUER)])


def test_key_of_the_supabase_cli_can_be_used() -> None:
    """`supabase gen signing-key --algorithm ES256` prints one key; its key file contains a list."""
    key = new_key()
    assert parse_keys(json.dumps(key)) == parse_keys(json.dumps([key]))
    assert key["key_ops"] == ["sign", "verify"]
    assert (key["kty"], key["crv"], key["use"]) == ("EC", "P-256", "sig")
    (public,) = parse_keys(json.dumps(key)).public()
    assert "d" not in public
