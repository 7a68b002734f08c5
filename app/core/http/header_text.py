"""Names in headers: read as Latin-1 by the server, and sent as UTF-8 by clients."""

from collections.abc import Mapping


def header_text(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if not value:
        return None
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
