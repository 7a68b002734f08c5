"""The deployment files agree with the code: compose file, image, proxy, Prometheus and Grafana."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from app.adapters.embedded_postgres import EmbeddedPostgres
from app.core.observability import metrics as telemetry
from app.settings import Settings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("api", "worker", "migrate")
RUNS_ONCE = ("migrate",)
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "stateset": ("",)}
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*")

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


# ---------------------------------------------------------------- compose


def test_compose_has_every_service() -> None:
    assert {"api", "worker", "migrate", "postgres", "qdrant", "redis", "prometheus", "grafana", "proxy"} == {
        name for name, service in SERVICES.items() if not service.get("profiles")
    }


def test_other_vector_stores_have_a_profile() -> None:
    assert {name: service["profiles"] for name, service in SERVICES.items() if service.get("profiles")} == {
        "milvus": ["milvus"],
        "chroma": ["chroma"],
    }


@each_service
def test_every_service_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check.get("test") or (name in RUNS_ONCE and check == {"disable": True})


@each_service
def test_images_are_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


@each_service
def test_services_depend_on_existing_services(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if needed in RUNS_ONCE else "service_healthy"
        assert needed in SERVICES
        assert how == {"condition": wanted}


@each_service
def test_mounted_files_exist(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_servers_can_be_scaled() -> None:
    """A fixed container name or port would allow only one instance."""
    for name in ("api", "worker"):
        assert not {"container_name", "ports", "hostname"} & set(SERVICES[name])


def test_only_proxy_and_grafana_publish_ports() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"proxy", "grafana"}


@pytest.mark.parametrize("name", OURS)
def test_compose_passes_existing_settings(name: str) -> None:
    assert {variable.lower() for variable in SERVICES[name]["environment"]} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", OURS)
def test_settings_of_compose_are_valid(name: str) -> None:
    given = {key: VARIABLE.sub(fill_in, value) for key, value in SERVICES[name]["environment"].items()}
    settings = Settings(_env_file=None, **{key.lower(): value for key, value in given.items() if value})
    assert settings.database_url is not None
    assert settings.auto_migrate is False


def fill_in(match: re.Match[str]) -> str:
    return match[3] if match[2] == "-" else "x" * 32


def test_only_migrate_logs_in_as_the_owner() -> None:
    owners = [name for name in OURS if "postgres:" in str(SERVICES[name]["environment"].get("ADMIN_DATABASE_URL"))]
    assert owners == ["migrate"]
    assert "//keepsake_app:" in SERVICES["api"]["environment"]["DATABASE_URL"]


def test_compose_contains_no_secret() -> None:
    """A secret has no default, and a missing one stops compose with a sentence that names it."""
    for name, how, text in VARIABLE.findall((ROOT / "docker-compose.yml").read_text()):
        if re.search(r"PASSWORD|SECRET_KEY|QDRANT_API_KEY", name) and not name.startswith(("SMTP_", "SUPABASE_")):
            assert how == "?", name
            assert text.startswith(f"Set {name} to "), name


def test_compose_variables_are_documented() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    names = {match[1] for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    unknown = {name for name in names if name.lower() not in Settings.model_fields}
    assert not {name for name in unknown if f"`{name}`" not in operations}


# ---------------------------------------------------------------- the image


def test_image_contains_what_runs_and_has_an_unprivileged_user() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert PINNED.fullmatch(bases[0])
    assert "USER keepsake" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    copied = [line.split()[-2] for line in lines if line.startswith("COPY") and "--from" not in line]
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == admitted
    assert all((ROOT / path).exists() for path in copied)


@pytest.fixture
def alive() -> Iterator[int]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def plain(url: str) -> str:
    """As an operator writes it."""
    return url.replace("+psycopg", "", 1)


def check_health(what: str, **environment: str) -> int:
    command = [sys.executable, str(DEPLOY / "healthcheck.py"), what]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode


def test_healthcheck_passes_for_a_server_that_answers(alive: int) -> None:
    assert check_health("api", PORT=str(alive)) == 0


def test_healthcheck_fails_for_a_server_that_does_not_answer() -> None:
    assert check_health("api", PORT="1") == 1


def test_healthcheck_of_a_worker_follows_its_heartbeat(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(plain(postgres.url("postgres")), autocommit=True) as connection:
        for heartbeat, healthy in (("now()", True), ("now() - interval '2 minutes'", False)):
            connection.execute("delete from jobs.procrastinate_workers")
            connection.execute(f"insert into jobs.procrastinate_workers (last_heartbeat) values ({heartbeat})")
            assert (check_health("worker", DATABASE_URL=plain(postgres.url("keepsake_app"))) == 0) is healthy


# ---------------------------------------------------------------- metrics


def metrics() -> dict[str, set[str]]:
    """Every series Prometheus can see, with its labels."""
    found = {}
    for metric in vars(telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[str(metric._type)]:
                states = {metric._name} if metric._type == "stateset" else set()
                found[metric._name + suffix] = {*metric._labelnames, *states}
    return found


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    found = [rule["expr"] for group in rules for rule in group["rules"]]
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        found += [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]
    return found


@pytest.mark.parametrize("expression", expressions())
def test_metrics_in_dashboards_and_alerts_exist(expression: str) -> None:
    known = metrics()
    names = re.findall(r"keepsake_\w+", expression)
    assert set(names) <= set(known)
    labels = set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!=|=~|!~)\"", expression))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in group.split(",")}
    assert labels <= LABELS_OF_PROMETHEUS.union(*(known[name] for name in names))


def test_prometheus_scrapes_every_server_and_loads_its_rules() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    places = [place for job in config["scrape_configs"] for place in job["dns_sd_configs"]]
    assert {name for place in places for name in place["names"]} == {"api"}
    port = COMPOSE["x-app-environment"]["METRICS_ADDRESS"].rpartition(":")[2]
    assert {str(place["port"]) for place in places} == {port}
    assert all((DEPLOY / name).exists() for name in config["rule_files"])


def test_alerts_have_a_severity_and_a_summary() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text()
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"]
            assert f"`{rule['alert']}`" in operations


def test_grafana_finds_its_data_source_and_dashboards() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    folder = yaml.safe_load((provisioning / "dashboards" / "keepsake.yml").read_text())["providers"][0]["options"]
    assert any(volume.split(":")[1] == folder["path"] for volume in SERVICES["grafana"]["volumes"])
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            assert panel["datasource"]["uid"] in {source["uid"] for source in sources}
