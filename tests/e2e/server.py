"""Runs the real command in a process with its own data folder, reached over loopback."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parent.parent.parent
UNLIMITED = {f"RATE_LIMIT_{who}": "1000000/minute" for who in ("AUTH", "USER", "PROJECT", "GLOBAL", "CHAT")}


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    return {**os.environ, "DATA_DIR": str(data_dir), "LOG_FORMAT": "json", **UNLIMITED, **settings}


@dataclass
class KeepsakeServer:
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self.listener = threading.Thread(target=self.keep_listening, daemon=True)

    def listen(self) -> None:
        """Reads the output until the server prints its address; a thread collects the rest."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.output.append(line)
            if '"serving"' in line:
                self.address = json.loads(line)["address"]
                break
        self.listener.start()

    def wait_until_ready(self) -> dict[str, Any]:
        """The report of readiness. A check that takes a second on a busy machine counts as failed."""
        ends_at, report = time.monotonic() + PATIENCE_SECONDS, {"status": "unknown"}
        with httpx.Client(base_url=self.address, timeout=PATIENCE_SECONDS) as client:
            while report["status"] != "ready" and time.monotonic() < ends_at:
                report = client.get("/v1/ready").json()
                time.sleep(0 if report["status"] == "ready" else 0.5)
        return report

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(60)
        self.listener.join()
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def keep_listening(self) -> None:
        self.output.extend(self.process.stdout or ())


def start_server(data_dir: Path, *arguments: str, **settings: str) -> KeepsakeServer:
    keepsake = launch_server(data_dir, *arguments, **settings)
    keepsake.listen()
    return keepsake


def launch_server(data_dir: Path, *arguments: str, **settings: str) -> KeepsakeServer:
    """Starts the process without waiting for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env=environment(data_dir, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return KeepsakeServer(process)


@contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[KeepsakeServer]:
    keepsake = start_server(data_dir, **settings)
    assert keepsake.address, keepsake.output
    try:
        yield keepsake
    finally:
        if keepsake.process.poll() is None:
            keepsake.process.terminate()
        keepsake.wait()


def processes_using(data_dir: Path) -> list[list[str]]:
    """Every process that still uses this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words, inside = process.cmdline(), process.cwd()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(data_dir) in " ".join([*words, inside]) and process.pid != os.getpid():
            found.append(words)
    return found
