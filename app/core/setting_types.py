"""The types of settings: each says how its value is written, and refuses others with a sentence for the operator."""

import re
from email.utils import parseaddr
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

SHORTEST_SECRET = 32
NO_ISSUER = "none"
"""What a setting calls tokens without the claim `iss`."""


def _web_address(value: str | None) -> str | None:
    """Checks an http or https address and removes a trailing slash."""
    if not value:
        return None
    if not _has_host(value, "http", "https"):
        raise ValueError("write it as https://host or http://host:port")
    return value.rstrip("/")


_NUMBERED = re.compile(r"[^/]+//[^/?]+(/\d*)?(\?.*)?")
"""Redis databases are numbered. The client would silently use database 0 for any other path."""
_SENTINEL_HOST = r"(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?"
_SENTINELS = re.compile(
    rf"rediss?\+sentinel://([^\s/@]*@)?{_SENTINEL_HOST}(,{_SENTINEL_HOST})*/[\w.-]+(/\d+)?(\?sentinel_password=[^\s&]+)?"
)


def _redis_address(value: SecretStr | None) -> SecretStr | None:
    given = value.get_secret_value() if value else None
    if not given or given.startswith("unix://") or _SENTINELS.fullmatch(given):
        return value
    if not (_has_host(given, "redis", "rediss") and _NUMBERED.fullmatch(given)):
        raise ValueError(
            "write it as redis://host:6379/0, rediss://user:password@host:6379/0, unix:///path or"
            " redis+sentinel://host:26379,host:26379/service/0"
        )
    return value


def _origins(values: list[str]) -> list[str]:
    """Browsers send origins without a path, so an origin with a path would never match."""
    if not all(
        value == "*" or (_has_host(value, "http", "https") and urlsplit(value).path in ("", "/")) for value in values
    ):
        raise ValueError("write origins as https://host or http://host:port, separated by commas, or *")
    return [value.rstrip("/") for value in values]


def _issuers(values: list[str]) -> list[str]:
    if not all(value == NO_ISSUER or _has_host(value, "http", "https") for value in values):
        raise ValueError("write the exact `iss` of the tokens, such as https://host/auth/v1, or none")
    return values


def _mail_server(value: str | None) -> str | None:
    if value and re.search(r"[\s/@]", value):
        raise ValueError("write the host alone, such as smtp.example.com; its port is SMTP_PORT")
    return value


def _sender(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(value)[1]) or re.search(r"[\r\n]", value):
        raise ValueError("write it as name@example.com or Name <name@example.com>")
    return value


def _proxies(values: list[str]) -> list[str]:
    for value in values:
        try:
            _ = value == "*" or ip_network(value)
        except ValueError:
            raise ValueError("write addresses or networks such as 10.0.0.0/8, separated by commas, or *") from None
    return values


def _host_and_port(value: str | None) -> str | None:
    host, separator, port = (value or "").rpartition(":")
    if value and not (host and separator and port.isdecimal() and int(port) <= 65535):
        raise ValueError("write it as HOST:PORT, such as 127.0.0.1:9100")
    return value or None


def _long_enough(value: SecretStr | None) -> SecretStr | None:
    if value and len(value.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f"write {SHORTEST_SECRET} or more random characters")
    return value


def _each_long_enough(values: list[SecretStr]) -> list[SecretStr]:
    if any(len(value.get_secret_value()) < SHORTEST_SECRET for value in values):
        raise ValueError(f"write {SHORTEST_SECRET} or more random characters for each key, separated by commas")
    return values


def _model_prices(values: list[str]) -> list[str]:
    if not all(re.fullmatch(r"[^=\s]+=\d+(\.\d+)?/\d+(\.\d+)?", value) for value in values):
        raise ValueError("write model=prompt/answer for each model, such as gpt-5-mini=0.25/2, separated by commas")
    return values


def _has_host(address: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises ValueError for a port that is not a number
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and not re.search(r"\s", address)


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Url = Annotated[str | None, AfterValidator(_web_address)]
RedisUrl = Annotated[SecretStr | None, AfterValidator(_redis_address)]
CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Secret = Annotated[SecretStr | None, AfterValidator(_long_enough)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split), AfterValidator(_each_long_enough)]
Sender = Annotated[str, AfterValidator(_sender)]
Proxies = Annotated[CommaSeparated, AfterValidator(_proxies)]
MailServer = Annotated[str | None, AfterValidator(_mail_server)]
MetricsAddress = Annotated[str | None, AfterValidator(_host_and_port)]
Issuers = Annotated[CommaSeparated, AfterValidator(_issuers)]
ModelPrices = Annotated[CommaSeparated, AfterValidator(_model_prices)]
Origins = Annotated[CommaSeparated, AfterValidator(_origins)]
