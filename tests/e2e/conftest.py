"""supabase-js needs node and its packages, which `.ci/run` installs with `npm ci`. Elsewhere its test may be absent."""

import os
import shutil
from pathlib import Path

JS = Path(__file__).parent / "js"
READY = shutil.which("node") is not None and (JS / "node_modules" / "@supabase" / "supabase-js").is_dir()

# In CI the test is always collected, so that a missing node fails it instead of passing it over.
collect_ignore = [] if READY or os.environ.get("CI") else ["test_supabase_js.py"]


def pytest_report_header() -> list[str]:
    return [] if READY else ["supabase-js: not tested, needs node and `npm ci` in tests/e2e/js"]
