"""What `serve` prints on a terminal when it is ready. A log has the event `serving` instead."""

import sys
from pathlib import Path

from app.settings import LogFormat, Settings
from app.version import VERSION
from app.wiring.secrets import has_model


def print_banner(settings: Settings) -> None:
    """Only on a terminal: a program that reads the output of a service expects lines of the log."""
    if sys.stdout.isatty() and settings.log_format is LogFormat.TEXT:
        sys.stdout.write(f"\n{render_banner(settings, program=program_name())}\n\n")
        sys.stdout.flush()


def render_banner(settings: Settings, *, program: str) -> str:
    folder = settings.data_dir.resolve()
    elsewhere = settings.data_dir != Settings.model_fields["data_dir"].default
    lines = {
        "API": settings.base_url,
        "Reference": f"{settings.base_url}/docs",
        "Data": str(folder),
        "Model": describe_model(settings),
        "API key": f"{program} keys create" + (f" --data-dir {folder}" if elsewhere else ""),
        "Stop": "Ctrl-C",
    }
    return "\n".join([f"Keepsake {VERSION} is ready", *(f"  {name:<10} {text}" for name, text in lines.items())])


def describe_model(settings: Settings) -> str:
    if not has_model(settings):
        return "none: answers are offline. Set LLM_BASE_URL and LLM_MODEL, or LLM_API_KEY"
    provider = "OpenAI" if settings.llm_provider == "openai" else settings.llm_provider
    return f"{settings.llm_model} from {settings.llm_base_url or provider}"


def program_name() -> str:
    """The command as it was started: the script of a wheel, or the module of a checkout."""
    script = Path(sys.argv[0])
    if script.name != "__main__.py":
        return script.name
    python = Path(sys.executable)
    return f"{python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python} -m app"
