"""The documentation agrees with the code: settings, routes, errors, commands, links, decisions."""

import ast
import asyncio
import os
import re
import shutil
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.main import get_command

from app.__main__ import cli
from app.adapters.accounts.gotrue_errors import ERRORS_BY_CODE
from app.core.http.error_responses import CODES
from app.settings import Settings
from tests.conftest import MakeKey
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    ROOT / "examples" / "README.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / "app").rglob("*.md")),
]
ROUTE = re.compile(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/\S*)` \|", re.MULTILINE)
CODE = re.compile(r"^\| `(\w+)` \| (?:\d{3}|any)", re.MULTILINE)
SETTING = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]*)` )?\|", re.MULTILINE)
EXAMPLE = re.compile(r"^# ([A-Z_]+)=(.*)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FOREIGN_VARIABLES = {
    "KEEPSAKE_URL",
    "KEEPSAKE_API_KEY",
    "KEEPSAKE_USER_ID",
    "KEEPSAKE_PROFILE_ID",
    "KEEPSAKE_PRIVACY_MODE",
}
FOREIGN_VARIABLES |= {"PYTHONPATH", "MEM0_TELEMETRY", "ON_ERROR_STOP", "SUPABASE_LIVE", "WRITE_TABLE"}
COMMAND = re.compile(r"python -m app ((?:keys )?\w+)([^`\n]*)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# ---------------------------------------------------------------- settings


def environment_value(default: object) -> str:
    """A default in the form an environment variable has."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, list):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def defaults() -> dict[str, str]:
    return {name.upper(): environment_value(field.default) for name, field in Settings.model_fields.items()}


def test_env_example_lists_every_setting_with_its_default() -> None:
    assert dict(EXAMPLE.findall((ROOT / ".env.example").read_text())) == defaults()


def test_settings_page_lists_every_setting_with_its_default() -> None:
    assert dict(SETTING.findall((DOCS / "settings.md").read_text())) == defaults()


def test_setting_has_one_description_in_code_example_and_page() -> None:
    example, page = (ROOT / ".env.example").read_text(), (DOCS / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"# {field.description}\n# {name.upper()}=" in example, name
        assert f"| {field.description} |" in page, name


def test_env_example_contains_comments_only() -> None:
    """The example can be copied to .env unchanged."""
    assert not [line for line in (ROOT / ".env.example").read_text().splitlines() if line and line[0] != "#"]


# ---------------------------------------------------------------- routes


def test_api_page_lists_exactly_the_routes_that_exist(app: FastAPI) -> None:
    documented = set(ROUTE.findall((DOCS / "api.md").read_text()))
    served = {(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item}
    assert documented == served


# ---------------------------------------------------------------- errors


def error_codes() -> set[str]:
    """Every code that an error can carry."""
    found = {"error", *CODES.values(), *ERRORS_BY_CODE}
    for path in (ROOT / "app").rglob("*.py"):
        tree = ast.parse(path.read_text())
        constants = string_constants(tree)
        for node in ast.walk(tree):
            found.update(string_values(code_nodes(node), constants))
    return found


def string_constants(tree: ast.Module) -> dict[str, str]:
    """String constants of a module, because a code may be written as a constant."""
    return {
        line.targets[0].id: line.value.value
        for line in tree.body
        if isinstance(line, ast.Assign)
        and isinstance(line.targets[0], ast.Name)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    }


def code_nodes(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
        place = {"error_response": 2, "IdentityError": 1}.get(getattr(node.func, "id", ""))
        yield from node.args[place : place + 1] if place else []
    elif isinstance(node, ast.ClassDef):
        for line in node.body:
            if isinstance(line, ast.Assign):
                yield from assigned_to_code(line)


def assigned_to_code(line: ast.Assign) -> list[ast.expr]:
    target = line.targets[0]
    if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
        pairs = list(zip(target.elts, line.value.elts, strict=True))
    else:
        pairs = [(target, line.value)]
    return [value for name, value in pairs if isinstance(name, ast.Name) and name.id == "code"]


def string_values(nodes: Iterable[ast.expr], constants: dict[str, str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Name) and node.id in constants:
            yield constants[node.id]


def test_errors_page_lists_exactly_the_codes_that_exist() -> None:
    documented = CODE.findall((DOCS / "errors.md").read_text())
    assert len(documented) == len(set(documented))
    assert set(documented) == error_codes()


# ---------------------------------------------------------------- commands, links, mentioned settings


@each_page
def test_documented_command_exists(page: Path) -> None:
    commands = get_command(cli).commands  # type: ignore[attr-defined]  # a group
    for name, rest in COMMAND.findall(page.read_text()):
        first, _, second = name.partition(" ")
        command = commands[first].commands[second] if second else commands[first]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in re.findall(r"(?<=\s)--[a-z-]+", rest) if word != "--help"} <= known, name


def test_operations_page_lists_exactly_the_commands_that_exist() -> None:
    commands = get_command(cli).commands  # type: ignore[attr-defined]  # a group
    names = {
        f"{name} {second}" if second else name
        for name, command in commands.items()
        for second in getattr(command, "commands", [""])
    }
    section = (DOCS / "operations.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == names


@each_page
def test_documented_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


@each_page
def test_link_target_exists(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        path = target.partition("#")[0]
        assert "://" in target or not path or (page.parent / path).exists(), target


@each_page
def test_mentioned_setting_exists(page: Path) -> None:
    """A name followed by an equals sign is a setting or a variable of the compose file."""
    known = {*defaults(), *re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())}
    shell = {
        *re.findall(r"^\s*(?:export )?([A-Z_]+)=\$?[('\"]", page.read_text(), re.MULTILINE),
        "PYTHON",
        "JOBS",
        "LOCK",
        "KILLS",
    }
    mentioned = set(re.findall(r"\b([A-Z][A-Z0-9_]{2,})=", page.read_text()))
    assert mentioned - FOREIGN_VARIABLES - shell <= known


def test_readme_reaches_every_page() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            inside = [target.partition("#")[0] for target in LINK.findall(page.read_text()) if "://" not in target]
            ahead += [(page.parent / path).resolve() for path in inside if path and (page.parent / path).is_file()]
    assert set(DOCS.rglob("*.md")) <= seen


# ---------------------------------------------------------------- decisions

DECISION = re.compile(
    r"# (?P<title>(?P<number>\d{4})\. .+)\n\nStatus: (?P<status>.+)\nDate: \d{4}-\d{2}-\d{2}\n\n## Context\n"
)
STATUS = re.compile(r"proposed|accepted|superseded by \[\d{4}\]\(\S+\.md\)")
DECISIONS = DOCS / "decisions"
DECISION_PAGES = [page for page in sorted(DECISIONS.glob("*.md")) if page.name not in ("README.md", "template.md")]


def test_decision_has_a_number_a_status_a_date_and_four_sections() -> None:
    numbers = [page.name[:4] for page in DECISION_PAGES]
    assert len(numbers) == len(set(numbers))
    for page in DECISION_PAGES:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page.name)
        header = DECISION.match(page.read_text())
        assert header, page.name
        assert header["number"] == page.name[:4]
        assert STATUS.fullmatch(header["status"]), page.name
        headings = re.findall(r"^## (.+)", page.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Alternatives", "Consequences"], page.name


def test_decision_index_lists_every_page_with_its_title_and_status() -> None:
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \| (.+) \|$", (DECISIONS / "README.md").read_text(), re.MULTILINE
    )
    headers = {page.name: DECISION.match(page.read_text()) for page in DECISION_PAGES}
    assert [(f"{number}. {title}", name, status) for number, name, title, status in listed] == [
        (header["title"], name, header["status"]) for name, header in headers.items() if header
    ]


def test_architecture_page_lists_every_trigger_with_its_file() -> None:
    migrations = {path.name: path.read_text() for path in (ROOT / "supabase" / "migrations").glob("*.sql")}
    triggers = set(re.findall(r"^create (?:constraint )?trigger (\w+)", "\n".join(migrations.values()), re.MULTILINE))
    table = (DOCS / "architecture.md").read_text().split("<!-- triggers -->")[1].split("<!-- /triggers -->")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| `(\S+\.sql)` \|$", table, re.MULTILINE)
    assert {trigger for trigger, _ in rows} == triggers
    assert [file for _, file in rows if file not in migrations] == []


def test_api_page_lists_every_noun_of_the_audit_log() -> None:
    migrations = "".join(path.read_text() for path in (ROOT / "supabase" / "migrations").glob("*.sql"))
    page = (DOCS / "api.md").read_text()
    table = page.partition("| noun | verbs |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = [noun for row in table.splitlines() for noun in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(listed) == sorted(set(re.findall(r"private\.audit_row\('(\w+)'\)", migrations)))


def test_operations_page_lists_every_background_task() -> None:
    code = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    page = (DOCS / "operations.md").read_text()
    table = page.partition("| task | what it does |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = {task for row in table.splitlines() for task in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed == {"jobs", "webhooks", *re.findall(r'SupervisedTask\("(\w+)"', code)}


def test_architecture_page_names_files_that_exist() -> None:
    page = (DOCS / "architecture.md").read_text()
    named = re.findall(r"`((?:app|core|tests|supabase)/[\w/.]+)`", page)
    paths = [ROOT / "app" / path if path.startswith("core/") else ROOT / path for path in named]
    assert [str(path) for path in paths if not path.exists()] == []


# ---------------------------------------------------------------- code on the pages


BLOCK = re.compile(r"(?:Save this as `(?P<file>\S+)`:\n\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
NEEDS_A_TERMINAL = re.compile(r"^(make|npm|pip) |^\S+=\S+ .*make run", re.MULTILINE)
LANGUAGES = ["python", *(["javascript"] if shutil.which("node") else [])]
COMMANDS = {"python": sys.executable, "javascript": "node", "sh": "sh"}
SUFFIXES = {"python": ".py", "javascript": ".mjs", "sh": ".sh"}


def code_blocks(page: Path, language: str) -> list[str]:
    return [block["code"] for block in BLOCK.finditer(page.read_text()) if block["language"] == language]


async def run_code(language: str, code: str, folder: Path, server: str, **environment: str) -> str:
    """What it prints."""
    program = folder / f"program{SUFFIXES[language]}"
    program.write_text(code.replace(ADDRESS, server).replace(".venv/bin/python", sys.executable))
    alone = {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder), **environment}
    process = await asyncio.create_subprocess_exec(
        COMMANDS[language], str(program), cwd=folder, env={**os.environ, **alone}, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return output.decode()


def script_of(page: Path, folder: Path, server: str) -> str:
    """The commands that a reader types on this page, with the files saved that it tells the reader to save."""
    commands = []
    for block in BLOCK.finditer(page.read_text()):
        if block["file"]:
            (folder / block["file"]).write_text(block["code"].replace(ADDRESS, server))
        elif block["language"] == "sh" and not NEEDS_A_TERMINAL.search(block["code"]):
            commands.append(block["code"])
    return "set -e\n" + "\n".join(commands).replace("you@example.com", f"{uuid.uuid4().hex[:12]}@example.com")


async def test_readme_steps_work_and_work_again(server_url: str, tmp_path: Path) -> None:
    steps = script_of(ROOT / "README.md", tmp_path, server_url)
    for _ in range(2):
        output = await run_code("sh", steps, tmp_path, server_url)
        assert output.startswith("I am allergic to peanuts ")
        assert "- I moved to Lisbon in May." in re.sub(r"\([^)]*\) ", "", output)


async def test_tutorial_steps_work_and_work_again(server_url: str, tmp_path: Path) -> None:
    steps = script_of(DOCS / "tutorial.md", tmp_path, server_url)
    for _ in range(2):
        lines = (await run_code("sh", steps, tmp_path, server_url)).splitlines()
        assert lines[0] == "I am allergic to peanuts"
        assert lines[1].startswith("SUCCEEDED ")
        assert "My name is Anna and I live in Porto." in lines[1]
        nothing_queued = lines.index("None")
        in_work_profile = lines[nothing_queued - 1]
        assert in_work_profile.startswith("[")
        assert "Ines" not in in_work_profile, "it does not fit the question"
        assert "Lisbon" not in in_work_profile
        assert "Memories deleted successfully!" in lines[-1]
        assert not any("party" in line for line in lines)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_integration_programs_run(server_url: str, make_key: MakeKey, language: str, tmp_path: Path) -> None:
    key = (await make_key()).key
    for code in code_blocks(DOCS / "integration.md", language):
        output = await run_code(language, code, tmp_path, server_url, KEEPSAKE_API_KEY=key)
        assert "SUCCEEDED" in output or "event: done" in output
