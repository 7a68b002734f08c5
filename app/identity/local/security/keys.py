"""The signing key for access tokens and the secret of the admin routes: created once, stored under DATA_DIR."""

import fcntl
import json
import os
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from jose import jwk as jose_jwk
from jose import jwt
from jose.exceptions import JOSEError

from app.core.errors import ConfigurationError
from app.identity.tokens import Jwk

KEYS_FILE = "signing_keys.json"
SECRET_FILE = "secret_key"  # noqa: S105 - a file name
ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The first key signs, all keys verify. The file is a list of private JWKs, as Supabase's `signing_keys_path`."""

    keys: tuple[Jwk, ...]

    @property
    def current(self) -> Jwk:
        return self.keys[0]

    def public(self) -> list[Jwk]:
        return [public_half(key) for key in self.keys]

    def sign(self, claims: dict[str, object]) -> str:
        token: str = jwt.encode(claims, dict(self.current), ALGORITHM, headers={"kid": self.current["kid"]})
        return token


def load_or_create_keys(folder: Path) -> SigningKeys:
    """Processes that start at the same time share one key: the first to lock the folder creates it."""
    return parse_keys(_read_or_create(folder, KEYS_FILE, lambda: json.dumps([new_key()], indent=1)))


def read_key_ids(folder: Path) -> list[str]:
    """The ids of the keys of a former server. None if there are none: a check creates nothing."""
    path = folder / KEYS_FILE
    return [str(key["kid"]) for key in parse_keys(path.read_text()).keys] if path.exists() else []


def load_or_create_secret(folder: Path) -> str:
    """The secret key of the admin routes, in Supabase's format."""
    return _read_or_create(folder, SECRET_FILE, lambda: f"sb_secret_{secrets.token_urlsafe(32)}").strip()


def save_keys(folder: Path, keys: SigningKeys) -> None:
    """For rotation and import: the new key comes first and signs, the old one still verifies."""
    with _locked(folder):
        _write(folder / KEYS_FILE, json.dumps([dict(key) for key in keys.keys], indent=1))


def parse_keys(text: str) -> SigningKeys:
    """Read one private JWK or a list of them, from our file or from `supabase gen signing-key`."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    keys = found if isinstance(found, list) else [found]
    if not keys or not all(_usable(key) for key in keys):
        raise ConfigurationError(
            f"{KEYS_FILE} in DATA_DIR does not contain private ES256 keys. Restore it from a backup, or remove it to"
            " create a new key. All users must then sign in again."
        )
    return SigningKeys(tuple(keys))


def new_key() -> dict[str, object]:
    numbers = ec.generate_private_key(ec.SECP256R1())
    found = jose_jwk.ECKey(numbers, ALGORITHM).to_dict()
    return {**found, "kid": str(uuid.uuid4()), "use": "sig", "key_ops": ["sign", "verify"], "ext": True}


def public_half(key: Jwk) -> Jwk:
    return {**{name: key[name] for name in ("kty", "crv", "x", "y", "kid", "alg")}, "use": "sig", "key_ops": ["verify"]}


def _usable(key: object) -> bool:
    if not isinstance(key, dict) or key.get("alg") != ALGORITHM or not {"kid", "crv", "d", "x", "y"} <= key.keys():
        return False
    try:
        signed = jwt.encode({}, key, ALGORITHM)
        jwt.decode(signed, dict(public_half(key)), algorithms=[ALGORITHM])
    except (JOSEError, ValueError, TypeError):
        return False
    return isinstance(key["kid"], str)


def _read_or_create(folder: Path, name: str, create: Callable[[], str]) -> str:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    with _locked(folder):
        if not path.exists():
            _write(path, create())
        path.chmod(0o600)
        return path.read_text()


def _write(path: Path, text: str) -> None:
    """Write a draft and rename it, so that the file is always complete and never readable by other users."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
