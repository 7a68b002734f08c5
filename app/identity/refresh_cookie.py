"""The refresh token of the page in a cookie that no script can read, for clients that ask for it with a header.

A site of another origin cannot send the header: that takes a CORS preflight, which does not allow credentials. The
origin that the browser names is checked as well, because a cookie also comes with requests of other ports of one host.
"""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Response

from app.core.errors import Forbidden, Unauthorized, Unprocessable
from app.core.resources import Resources
from app.identity.schemas import AuthSessionRead

HEADER = "X-Refresh-Token"
COOKIE = "keepsake_refresh"
PATH = "/v1/auth"
LASTING_SECONDS = 400 * 86_400
"""The longest time that browsers keep a cookie. Each refresh begins it anew."""
CROSS_SITE = "The refresh token in the cookie is accepted from pages of this server only."
NO_TOKEN = f"Send `refresh_token`. From a page of this server, `{HEADER}: cookie` uses the token in its cookie."
NO_COOKIE = "There is no refresh token in the cookie. Sign in again."


class RefreshStorage(StrEnum):
    COOKIE = "cookie"
    """Until the browser is closed."""
    LASTING_COOKIE = "lasting-cookie"


class RefreshCookie:
    """What a response does with the refresh token of its session."""

    def __init__(
        self,
        request: Request,
        response: Response,
        storage: Annotated[
            RefreshStorage | None,
            Header(
                alias=HEADER,
                description="`cookie` or `lasting-cookie`: the refresh token comes as an HttpOnly cookie, and"
                " `refresh_token` is null. For pages of this server, over https or on loopback; elsewhere ignored.",
            ),
        ] = None,
    ) -> None:
        self._request = request
        self._response = response
        self._storage = storage if storage and (is_https(request) or is_loopback(request)) else None
        if self._storage:
            check_same_origin(request)

    def hold(self, session: AuthSessionRead) -> AuthSessionRead:
        if self._storage is None or session.refresh_token is None:
            return session
        lasting = LASTING_SECONDS if self._storage is RefreshStorage.LASTING_COOKIE else None
        self._set(session.refresh_token, lasting)
        return session.model_copy(update={"refresh_token": None})

    def read(self) -> str:
        """The refresh token of a request that has none in its body."""
        if self._storage is None:
            raise Unprocessable(NO_TOKEN)
        token = self._request.cookies.get(COOKIE)
        if not token:
            raise Unauthorized(NO_COOKIE)
        return token

    def clear(self) -> None:
        """The request proves itself by its access token, so it needs no header."""
        if COOKIE in self._request.cookies:
            self._set("", 0)

    def _set(self, value: str, max_age: int | None) -> None:
        self._response.set_cookie(
            COOKIE,
            value,
            max_age=max_age,
            path=PATH,
            httponly=True,
            samesite="strict",
            secure=is_https(self._request),
        )


RefreshCookieDep = Annotated[RefreshCookie, Depends()]


def is_https(request: Request) -> bool:
    return request.url.scheme == "https" or base_url(request).startswith("https://")


def is_loopback(request: Request) -> bool:
    name = request.url.hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def check_same_origin(request: Request) -> None:
    """Browsers name the origin of every POST. Other clients hold no cookie that another site could use."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    # A proxy may send another Host than the one that the browser used.
    own = {request.headers.get("Host", ""), urlsplit(base_url(request)).netloc}
    if site != "same-origin" or (origin is not None and _host_of(origin) not in own):
        raise Forbidden(CROSS_SITE, code="cross_site")


def _host_of(origin: str) -> str | None:
    """With the port. None if a URL cannot be read, such as one with a broken IPv6 address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def base_url(request: Request) -> str:
    resources: Resources = request.app.state.resources
    return resources.config.base_url.lower()
