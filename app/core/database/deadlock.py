"""Repeats work that Postgres has undone to end a deadlock. The other transaction goes on meanwhile."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import ParamSpec, TypeVar

from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import DBAPIError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def repeat_after_deadlock(
    work: Callable[Parameters, Coroutine[object, object, Result]],
) -> Callable[Parameters, Coroutine[object, object, Result]]:
    """Once. For a function that opens one transaction and has no other effect until it is committed."""

    @wraps(work)
    async def repeating(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return await work(*args, **kwargs)
        except DBAPIError as error:
            if not isinstance(error.orig, DeadlockDetected):
                raise
        return await work(*args, **kwargs)

    return repeating
