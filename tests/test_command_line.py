"""What the command line prints, and what it imports before it has to."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from app.banner import print_banner, render_banner
from app.lazy_import import lazy_import
from app.settings import Settings
from app.version import VERSION

ROOT = Path(__file__).parent.parent
HEAVY = {"fastapi", "mem0", "openai", "sqlalchemy", "qdrant_client", "onnxruntime", "rich.progress"}


def imported_by(*arguments: str) -> set[str]:
    """The modules that a run of the command imports, as Python reports them."""
    command = [sys.executable, "-X", "importtime", "-m", "app", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("serve", "--port", "abc"), ("serve", "--port", "-1")]
)
def test_command_line_answers_without_importing_the_application(arguments: tuple[str, ...]) -> None:
    imported = imported_by(*arguments)
    assert "typer" in imported
    assert imported & (HEAVY | {"app.commands", "app.main"}) == set()


def test_lazy_import_returns_a_module_that_is_loaded_already() -> None:
    assert lazy_import("app.settings") is sys.modules["app.settings"]


def test_lazy_import_executes_a_module_when_a_name_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "import gc\nprint('executed')\nANSWER = 42\nIS_COLLECTING = gc.isenabled()\n"
    (tmp_path / "keepsake_lazy_example.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = lazy_import("keepsake_lazy_example")
    assert capsys.readouterr().out == ""
    assert module.ANSWER == 42
    assert capsys.readouterr().out == "executed\n"
    assert (module.IS_COLLECTING, gc.isenabled()) == (False, True)
    del sys.modules["keepsake_lazy_example"]


def test_lazy_import_refuses_an_unknown_module() -> None:
    with pytest.raises(ModuleNotFoundError, match="keepsake_unknown"):
        lazy_import("keepsake_unknown")


# ---------------------------------------------------------------- banner


def settings_of(**values: object) -> Settings:
    return Settings(_env_file=None, **{"openai_api_key": None, **values})


def test_banner_shows_addresses_data_model_and_how_to_get_a_key(tmp_path: Path) -> None:
    banner = render_banner(settings_of(data_dir=tmp_path, port=8123), program="keepsake")
    assert banner.splitlines()[0] == f"Keepsake {VERSION} is ready"
    assert "http://127.0.0.1:8123/docs" in banner
    assert f"keepsake keys create --data-dir {tmp_path}" in banner
    assert "none: answers are offline" in banner


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"llm_api_key": "sk-secret", "llm_model": "gpt-5-mini"}, "gpt-5-mini from OpenAI"),
        (
            {"llm_base_url": "http://127.0.0.1:11434/v1", "llm_model": "llama3.2"},
            "llama3.2 from http://127.0.0.1:11434/v1",
        ),
        ({"llm_provider": "gemini", "llm_model": "gemini-3"}, "gemini-3 from gemini"),
    ],
)
def test_banner_names_the_model_and_no_secret(values: dict[str, object], expected: str) -> None:
    banner = render_banner(settings_of(**values), program="keepsake")
    assert expected in banner
    assert "sk-secret" not in banner


def test_banner_of_the_default_folder_names_no_folder_for_the_key() -> None:
    assert render_banner(settings_of(data_dir="data"), program="keepsake").count("--data-dir") == 0


def test_banner_is_printed_only_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_banner(settings_of())
    assert capsys.readouterr().out == ""
