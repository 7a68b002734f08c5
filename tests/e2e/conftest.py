"""`.ci/run` installs Node packages and redis-server. Elsewhere tests that need them are left out and named."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.e2e.mem0_python import client_class as client_class
from tests.e2e.mem0_python import mem0 as mem0
from tests.e2e.redis_server import RedisServer

JS = Path(__file__).parent / "js"
READY = shutil.which("node") is not None and (JS / "node_modules" / "@supabase" / "supabase-js").is_dir()
MEM0_JS = Path(__file__).parent / "mem0_js"
MEM0_READY = shutil.which("node") is not None and (MEM0_JS / "node_modules" / "mem0ai").is_dir()
# Integrations of mem0, with mem0ai 1.0, with mem0ai 2 and from npm.
MEM0_1 = Path(__file__).parent / "mem0_1"
MEM0_2 = Path(__file__).parent / "mem0_2"
MEM0_NODES = Path(__file__).parent / "mem0_nodes"
ENVIRONMENTS = Path(__file__).parent.parent.parent / ".integrations"
INTEGRATIONS_READY = (
    shutil.which("node") is not None
    and (MEM0_NODES / "node_modules" / "@mem0").is_dir()
    and all((ENVIRONMENTS / name / ".installed").exists() for name in (MEM0_1.name, MEM0_2.name))
)
OPENAI_JS = Path(__file__).parent / "openai_js"
OPENAI_READY = shutil.which("node") is not None and (OPENAI_JS / "node_modules" / "openai").is_dir()
REDIS = shutil.which("redis-server") is not None

# In CI every test is collected, so that a missing dependency fails instead of being passed over.
NEEDED = (
    ("test_supabase_js.py", READY),
    ("test_mem0_js.py", MEM0_READY),
    ("compatibility/test_page.py", MEM0_READY),
    ("test_openai_js.py", OPENAI_READY),
    ("test_mem0_integrations.py", INTEGRATIONS_READY),
    ("test_redis.py", REDIS),
    ("test_incognito_redis.py", REDIS),
)
ABSENT = [name for name, ready in NEEDED if not ready]
collect_ignore = [] if os.environ.get("CI") else ABSENT


def pytest_report_header() -> list[str]:
    without_node = [] if READY else ["supabase-js: not tested, needs node and `npm ci` in tests/e2e/js"]
    without_node += [] if MEM0_READY else ["mem0ai: not tested, needs node and `npm ci` in tests/e2e/mem0_js"]
    without_node += [] if OPENAI_READY else ["openai: not tested, needs node and `npm ci` in tests/e2e/openai_js"]
    return without_node if REDIS else [*without_node, "Redis: not tested, needs redis-server"]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.thaw()
    server.stop()


@pytest.fixture
def cleared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Default settings, and logging restored after the command configured it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    umask = os.umask(0o077)
    yield monkeypatch
    os.umask(umask)
    structlog.reset_defaults()
