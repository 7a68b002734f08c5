"""How long a test waits for what must happen. Only a test that fails waits so long, on the slowest machine."""

from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60
SCALES = (1, 1, 3, 10)


async def succeeds(attempt: Callable[[float], Awaitable[bool]]) -> bool:
    """Whether one of a few attempts does, each with a scale that its seconds are multiplied by.

    A fault fails them all. A busy machine, which misses limits of time now and then, fails only some. What can be shown
    without a clock needs no attempts.
    """
    for scale in SCALES:
        if await attempt(scale):
            return True
    return False
