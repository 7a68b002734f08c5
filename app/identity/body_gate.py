"""Resolves the caller before the body of a request is received: bodies cost only what a known caller may spend."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from app.core.http.body_limits import BodyLimit, limit_without_caller
from app.core.rate_limit import client_address
from app.core.resources import Resources
from app.identity.caller import RequireCaller, RequireScopes, identify


class BodyGate:
    def __init__(self, app: FastAPI, max_bytes: int) -> None:
        self._app = app
        self._limit = BodyLimit(max_bytes)
        self._limit_without_caller = limit_without_caller(max_bytes)
        self._needs_caller: dict[Callable[..., Any], bool] = {}

    async def __call__(self, scope: Scope) -> BodyLimit:
        request = Request(scope)
        if self._requires_caller(scope):
            await identify(request)
            return self._limit
        resources: Resources = self._app.state.resources
        await resources.limits.admit_unauthenticated(client_address(request))
        return self._limit_without_caller

    def _requires_caller(self, scope: Scope) -> bool:
        """False for the routes of the identity provider, which is an app of its own."""
        if scope.get("app") is not self._app or "route" not in scope:
            return False
        endpoint = scope["endpoint"]
        if endpoint not in self._needs_caller:
            dependant = getattr(scope["route"], "dependant", None)
            self._needs_caller[endpoint] = dependant is not None and requires_caller(dependant)
        return self._needs_caller[endpoint]


def requires_caller(dependant: Dependant) -> bool:
    is_caller = isinstance(dependant.call, RequireCaller | RequireScopes)
    return is_caller or any(requires_caller(each) for each in dependant.dependencies)
