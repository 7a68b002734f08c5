"""Every call of the table ends with success or with a code that a program can read, with both clients alike."""

import os

import pytest

from tests.supabase_live.deployments import Deployment
from tests.supabase_live.providers import run_javascript, run_python
from tests.supabase_live.table import PAGE, PROVIDERS, merge, read_table, write_column

pytestmark = pytest.mark.supabase


async def test_calls_have_the_documented_outcome_with_both_clients(deployment: Deployment) -> None:
    outcomes = merge(await run_javascript(deployment.provider), await run_python(deployment.provider))
    if os.environ.get("WRITE_TABLE"):
        write_column(deployment.provider.name, outcomes)
    assert {name: outcome for name, outcome in outcomes.items() if "unclear" in outcome or "; " in outcome} == {}
    columns = read_table(PAGE.read_text())
    assert outcomes == columns[deployment.provider.name]
    assert deployment.provider.name in PROVIDERS
