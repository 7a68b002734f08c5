"""docs/supabase.md lists the calls of supabase-js and supabase-py, with the outcome that they have here."""

import re

import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.resources import Resources
from tests.e2e.conftest import JS, READY
from tests.supabase_live import calls
from tests.supabase_live.deployments import deploy_local
from tests.supabase_live.providers import run_javascript, run_python
from tests.supabase_live.table import PAGE, merge, read_table, render_table


def test_table_lists_the_calls_of_both_clients() -> None:
    documented = list(read_table(PAGE.read_text())["local"])
    assert (
        re.findall(r'^(?:const .* = )?await call\("([^"]+)"', (JS / "calls.mjs").read_text(), re.MULTILINE)
        == documented
    )
    assert calls.__file__
    with open(calls.__file__) as source:
        assert re.findall(r'self\.call\(\s*"([^"]+)"', source.read()) == documented
    assert len(documented) >= 50


def test_table_is_what_the_script_renders() -> None:
    text = PAGE.read_text()
    assert render_table(read_table(text)) in text


@pytest.mark.long
async def test_calls_of_the_built_in_provider_have_the_documented_outcome(
    resources: Resources, postgres: EmbeddedPostgres
) -> None:
    assert READY, "node and its packages are missing: run `npm ci` in tests/e2e/js"
    async with deploy_local(resources, postgres.url("postgres"), confirms=False) as deployment:
        outcomes = merge(await run_javascript(deployment.provider), await run_python(deployment.provider))
    assert outcomes == read_table(PAGE.read_text())["local"]
