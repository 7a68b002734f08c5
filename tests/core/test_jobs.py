"""How long a failed job waits for its next attempt."""

import asyncio
import datetime as dt
from itertools import pairwise

from procrastinate.jobs import Job

from app.core.jobs import RetryWithBackoff

MANY = 14


class BusyError(Exception):
    def __init__(self, retry_after: float | None = None) -> None:
        self.retry_after = retry_after


def pause(strategy: RetryWithBackoff, attempts: int, error: BaseException) -> float | None:
    job = Job(id=1, queue="test", lock=None, queueing_lock=None, task_name="test", attempts=attempts)
    decision = strategy.get_retry_decision(exception=error, job=job)
    if decision is None:
        return None
    assert decision.retry_at
    return (decision.retry_at - dt.datetime.now(dt.UTC)).total_seconds()


def pauses(strategy: RetryWithBackoff, error: BaseException) -> list[float]:
    return [pause(strategy, attempts, error) or 0 for attempts in range(MANY)]


def test_pauses_grow_with_each_attempt_up_to_the_maximum() -> None:
    strategy = RetryWithBackoff(BusyError, initial_seconds=10, max_seconds=3600)
    found = pauses(strategy, BusyError())
    assert 7 < found[0] < 13
    growing = found[:8]
    assert all(later > 1.2 * earlier for earlier, later in pairwise(growing)), found
    assert max(found) <= 3600 * 1.2
    assert min(found[-4:]) > 3600 * 0.7


def test_pauses_differ_so_that_jobs_do_not_return_together() -> None:
    strategy = RetryWithBackoff(BusyError, initial_seconds=1000)
    assert len({round(pause(strategy, 0, BusyError()) or 0) for _ in range(50)}) > 5


def test_pause_is_at_least_what_the_error_asks_for() -> None:
    found = pauses(RetryWithBackoff(BusyError, initial_seconds=2), BusyError(retry_after=300))
    assert min(found) > 295


def test_other_errors_are_not_retried_and_cancelled_jobs_at_once() -> None:
    strategy = RetryWithBackoff(BusyError)
    assert pause(strategy, 0, KeyError()) is None
    assert (pause(strategy, 5, asyncio.CancelledError()) or 0) < 1
