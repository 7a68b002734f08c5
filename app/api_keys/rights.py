"""What a caller may grant: no scope that it lacks, and no key that outlives its own."""

import datetime as dt
from collections.abc import Iterable

from app.api_keys.models import ApiKey
from app.core.errors import Forbidden
from app.identity.caller import Caller
from app.identity.scopes import DEFAULT_FOR_KEYS, Scope


def choose_scopes(caller: Caller, requested: list[Scope] | None) -> list[str]:
    chosen = frozenset(requested) if requested else DEFAULT_FOR_KEYS & caller.scopes
    if not chosen:
        raise Forbidden("You have none of the default scopes of a key. Name some of your own as `scopes`.")
    refuse_missing_scopes(caller, chosen)
    return sorted(chosen)


def refuse_missing_scopes(caller: Caller, chosen: Iterable[str]) -> None:
    if missing := frozenset(chosen) - caller.scopes:
        raise Forbidden(f"You cannot grant scopes that you lack: {', '.join(sorted(missing))}.")


def refuse_later_expiry(caller: Caller, expires_at: dt.datetime | None) -> None:
    latest = caller.key_expires_at
    if latest and (expires_at is None or expires_at > latest):
        raise Forbidden(f"An API key cannot grant a later expiry than its own, {latest.isoformat()}.")


def refuse_stronger_key(caller: Caller, row: ApiKey) -> None:
    """Rotating a stronger key would show its secret; changing or revoking it would stop what its owner relies on."""
    if missing := frozenset(row.scopes) - caller.scopes:
        raise Forbidden(f"This API key has scopes that you lack: {', '.join(sorted(missing))}.")
    if caller.key_expires_at and (row.expires_at is None or row.expires_at > caller.key_expires_at):
        raise Forbidden("This API key expires later than yours. An owner of the project can change it.")
