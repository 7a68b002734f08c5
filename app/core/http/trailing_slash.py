"""Serves a path with one slash too many or too few at its end. After a redirect, clients drop their credential."""

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Receive, Scope, Send


class TrailingSlash:
    """The router calls this for a path without a route, so that other requests pay nothing for it.

    A double slash stays an error, because it comes from an empty id: `DELETE /v1/memories//` must not delete them all.
    """

    def __init__(self, app: FastAPI) -> None:
        self._router = app.router
        self._not_found = app.router.default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        toggled = toggle_slash(scope)
        if scope["type"] == "http" and self._has_route({**scope, **toggled}):
            scope.update(toggled)
            await self._router(scope, receive, send)
        else:
            await self._not_found(scope, receive, send)

    def _has_route(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self._router.routes)


def toggle_slash(scope: Scope) -> Scope:
    path, raw_path = scope["path"], scope.get("raw_path") or b""
    if path.endswith("/"):
        return {"path": path[:-1], "raw_path": raw_path.removesuffix(b"/")}
    return {"path": f"{path}/", "raw_path": raw_path + b"/"}
