"""The real command in a process of its own, on a folder of its own, reached over loopback."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
UNLIMITED = {f"RATE_LIMIT_{who}": "1000000/minute" for who in ("AUTH", "USER", "PROJECT", "GLOBAL", "CHAT")}


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    return {**os.environ, "DATA_DIR": str(data_dir), "LOG_FORMAT": "json", **UNLIMITED, **settings}


@dataclass
class House:
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self.listener = threading.Thread(target=self.keep_listening, daemon=True)

    def listen(self) -> None:
        """Until it says where it serves; the rest of what it says is kept as it comes."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line)
            if '"serving"' in line:
                self.address = json.loads(line)["address"]
                break
        self.listener.start()

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
        self.said.extend(self.process.stdout or ())


def open_house(data_dir: Path, *arguments: str, **settings: str) -> House:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env=environment(data_dir, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    house = House(process)
    house.listen()
    return house


@contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[House]:
    house = open_house(data_dir, **settings)
    assert house.address, house.said
    try:
        yield house
    finally:
        if house.process.poll() is None:
            house.process.terminate()
        house.wait()


def left_over(data_dir: Path) -> list[list[str]]:
    """Every process that still has to do with this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words, inside = process.cmdline(), process.cwd()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(data_dir) in " ".join([*words, inside]) and process.pid != os.getpid():
            found.append(words)
    return found
