"""Which tasks a worker does not fetch, because another system is away."""

from dataclasses import dataclass

from app.core.jobs import LONGEST_TRIAL_SECONDS, TaskPauses


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_postponed_task_is_paused_until_its_time_is_over() -> None:
    clock = Clock()
    pauses = TaskPauses(clock)
    pauses.postponed("extract", 15)
    assert pauses.names() == ["extract"]
    clock.now = 15
    assert pauses.names() == []
    assert pauses.is_paused("extract"), "no job has shown yet that the system is back"


def test_after_a_pause_one_job_goes_first() -> None:
    clock = Clock()
    pauses = TaskPauses(clock)
    pauses.postponed("extract", 15)
    clock.now = 15
    pauses.started("extract")
    assert pauses.names() == ["extract"]
    pauses.ended("extract")
    assert pauses.names() == []
    assert not pauses.is_paused("extract")


def test_first_job_that_is_postponed_again_pauses_its_task_again() -> None:
    clock = Clock()
    pauses = TaskPauses(clock)
    pauses.postponed("extract", 15)
    clock.now = 15
    pauses.started("extract")
    pauses.postponed("extract", 15)
    clock.now = 29
    assert pauses.names() == ["extract"]
    clock.now = 30
    assert pauses.names() == []


def test_first_job_that_never_ends_is_followed_by_another_one() -> None:
    clock = Clock()
    pauses = TaskPauses(clock)
    pauses.postponed("extract", 15)
    clock.now = 15
    pauses.started("extract")
    clock.now = 15 + LONGEST_TRIAL_SECONDS
    assert pauses.names() == []


def test_other_tasks_go_on() -> None:
    pauses = TaskPauses(Clock())
    pauses.postponed("extract", 15)
    pauses.started("sweep")
    pauses.ended("sweep")
    assert pauses.names() == ["extract"]
