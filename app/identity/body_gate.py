"""Resolves the caller before the body of a request is received: bodies cost only what a known caller may spend."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Scope

from app.core.http.body_limits import OWN_LIMIT, BodyLimit, limit_without_caller
from app.core.http.error_responses import report_database_error
from app.core.network_addresses import network_of
from app.core.ports import TokenClaims
from app.core.rate_limit import client_address
from app.core.resources import Resources
from app.identity.caller import Caller, RequireAccount, RequireCaller, RequireScopes, identify, identify_account

Resolver = Callable[[Request], Awaitable[Caller | TokenClaims]]


class BodyGate:
    def __init__(self, app: FastAPI, max_bytes: int) -> None:
        self._app = app
        self._limit = BodyLimit(max_bytes)
        self._limit_without_caller = limit_without_caller(max_bytes)
        self._resolvers: dict[Callable[..., Any], Resolver | None] = {}

    async def __call__(self, scope: Scope) -> BodyLimit:
        request = Request(scope)
        if resolve := self._find_resolver(scope):
            try:
                resolved = await resolve(request)
            except SQLAlchemyError as error:
                # FastAPI takes an error that is no AppError, while it receives a body, for a body that is not valid.
                raise report_database_error(error) from error
            own: BodyLimit | None = scope["endpoint"].__dict__.get(OWN_LIMIT)
            return replace(own or self._limit, source=account_of(resolved))
        resources: Resources = self._app.state.resources
        address = client_address(request)
        await resources.limits.admit_unauthenticated(address)
        return replace(self._limit_without_caller, source=f"address {network_of(address)}")

    def _find_resolver(self, scope: Scope) -> Resolver | None:
        """None for the routes of the identity provider, which is an app of its own."""
        if scope.get("app") is not self._app or "route" not in scope:
            return None
        endpoint = scope["endpoint"]
        if endpoint not in self._resolvers:
            dependant = getattr(scope["route"], "dependant", None)
            self._resolvers[endpoint] = find_resolver(dependant) if dependant else None
        return self._resolvers[endpoint]


def account_of(resolved: Caller | TokenClaims) -> str:
    return resolved.source.account if isinstance(resolved, Caller) else str(resolved.subject)


def find_resolver(dependant: Dependant) -> Resolver | None:
    """What resolves the credential of a route: to a caller in a project, or to an account only."""
    if isinstance(dependant.call, RequireAccount):
        return identify_account
    if isinstance(dependant.call, RequireCaller | RequireScopes):
        return identify
    return next((found for each in dependant.dependencies if (found := find_resolver(each))), None)
