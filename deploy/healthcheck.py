"""Whether a container does its work, with nothing but Python: `healthcheck.py api` or `healthcheck.py worker`."""

import os
import sys
import urllib.request

import psycopg

BEATS_WITHIN_SECONDS = 60
BEATING = """
select exists (select from jobs.procrastinate_workers where last_heartbeat > now() - make_interval(secs => %s))
"""


def api_answers() -> bool:
    port = os.environ.get("PORT", "8000")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/health", timeout=4) as answer:
        return bool(answer.status == 200)


def worker_beats() -> bool:
    """Workers write down that they are alive; this asks the queue for one that still does."""
    _, _, rest = os.environ["DATABASE_URL"].partition("://")
    with psycopg.connect(f"postgresql://{rest}", options="-c role=keepsake_system", connect_timeout=4) as connection:
        row = connection.execute(BEATING, [BEATS_WITHIN_SECONDS]).fetchone()
    return row is not None and bool(row[0])


if __name__ == "__main__":
    sys.exit(0 if {"api": api_answers, "worker": worker_beats}[sys.argv[1]]() else 1)
