"""The table of calls in docs/supabase.md. Each run replaces the columns that it measured."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "supabase.md"
TABLE = re.compile(r"(?<=<!-- calls -->\n).*?(?=<!-- /calls -->)", re.DOTALL)
CLIENTS = ("supabase-js", "supabase-py")
PROVIDERS = ("local", "GoTrue, asymmetric keys", "GoTrue, HS256")
NOT_MEASURED = "not measured"

Columns = dict[str, dict[str, str]]
"""The outcomes of each call, by provider."""


def merge(javascript: Mapping[str, str], python: Mapping[str, str]) -> dict[str, str]:
    """One outcome if both clients see the same."""
    names = dict.fromkeys([*javascript, *python])
    outcomes = {name: (javascript.get(name, "not made"), python.get(name, "not made")) for name in names}
    return {name: js if js == py else f"{CLIENTS[0]}: {js}; {CLIENTS[1]}: {py}" for name, (js, py) in outcomes.items()}


def read_table(text: str) -> Columns:
    (table,) = TABLE.findall(text)
    columns: Columns = {name: {} for name in PROVIDERS}
    for line in table.splitlines()[2:]:
        call, *outcomes = [cell.strip() for cell in line.strip("|").split("|")]
        for name, outcome in zip(PROVIDERS, outcomes, strict=True):
            columns[name][call.strip("`")] = outcome.replace("`", "")
    return columns


def render_table(columns: Columns) -> str:
    lines = ["| call | built-in provider | GoTrue, asymmetric keys | GoTrue, HS256 |", "|---|---|---|---|"]
    for call in dict.fromkeys(call for column in columns.values() for call in column):
        outcomes = [_cell(columns[name].get(call, NOT_MEASURED)) for name in PROVIDERS]
        lines.append(f"| `{call}` | {' | '.join(outcomes)} |")
    return "\n".join(lines) + "\n"


def _cell(outcome: str) -> str:
    return re.sub(r"clear error (\w+)", r"clear error `\1`", outcome)


def write_column(provider: str, outcomes: Mapping[str, str]) -> None:
    text = PAGE.read_text()
    columns = read_table(text)
    columns[provider] = dict(outcomes)
    PAGE.write_text(TABLE.sub(lambda _: render_table(columns), text))
