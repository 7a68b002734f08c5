"""Tests that need redis-server are left out where it is not installed, except in CI."""

import os
import shutil

collect_ignore = (
    [] if os.environ.get("CI") or shutil.which("redis-server") else ["test_redis.py", "test_redis_sentinel.py"]
)
