"""A real Redis on loopback that a test can stop, freeze and start again."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil

SENTINEL_SETTINGS = """
bind 127.0.0.1
sentinel monitor mymaster 127.0.0.1 {master} 1
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
"""


class RedisServer:
    def __init__(self, folder: Path, *, replica_of: int | None = None, watches: int | None = None) -> None:
        """A master, the replica of the server at a port, or a sentinel that watches the master at a port."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = [] if replica_of is None else ["--replicaof", "127.0.0.1", str(replica_of)]
        if watches is not None:
            settings = folder / "sentinel.conf"
            settings.write_text(SENTINEL_SETTINGS.format(master=watches))
            self._options = [str(settings), "--sentinel"]
        self.start()

    def start(self) -> None:
        at = ["--port", str(self.port)]
        plain = [*at, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *self._options]
        command = ["redis-server", *([*self._options, *at] if "--sentinel" in self._options else plain)]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        for _ in range(3000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Behaves like a lost machine: connections stay open and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)
        while psutil.Process(self._process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
