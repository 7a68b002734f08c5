"""Milvus for tests: Milvus Lite in this process, and the server that `make milvus-server` installs, on loopback."""

import contextlib
import importlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from app.adapters.vectors.split_index import SplitIndex
from app.core.database.database import Database
from tests.contracts.vector_index import Store, new_project_of

PACKAGE = Path(os.environ.get("MILVUS_SERVER", Path(__file__).parent.parent.parent / ".milvus-server"))
START_SECONDS = 120


@dataclass
class MilvusServer:
    """Keeps its folder and its ports over restarts."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    health_port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            self._configure()
        environment = {
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self.health_port),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": str(PACKAGE / "unpacked" / "bin"),
        }
        with (self.folder / "output.log").open("ab") as log:
            command = [str(PACKAGE / "unpacked" / "bin" / "milvus"), "run", "standalone"]
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        self._wait()

    def kill(self) -> None:
        """SIGKILL. Ended politely, it takes more than 20 seconds."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _configure(self) -> None:
        package = load_package()
        package._initialize_data_files(str(PACKAGE / "unpacked"))
        config = package.MilvusServerConfig(data_dir=str(self.folder))
        names = [name for name in config.configurable_items if name.endswith("_port")]
        # Its own choice of ports leaves sockets open.
        *ports, self.health_port, peer_port = free_ports(len(names) + 2)
        config.configs |= dict(zip(names, ports, strict=True))
        # As docs/how-to/milvus.md says.
        for name, value in {"queryNode.segcore.interimIndex.enableIndex": "false", **self.settings}.items():
            config.set(name, value)
        config.resolve()
        self.port = int(config.get("proxy_port"))
        self._move_etcd(int(config.get("etcd_port")), peer_port)

    def _move_etcd(self, port: int, peer_port: int) -> None:
        """Its second port is fixed otherwise, so that a machine could run one server only."""
        peer, client = f"http://127.0.0.1:{peer_port}", f"http://127.0.0.1:{port}"
        (self.folder / "etcd.yaml").write_text(
            f"name: default\nlisten-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
            f"listen-client-urls: {client}\nadvertise-client-urls: {client}\ninitial-cluster: default={peer}\n"
            f"data-dir: {self.folder / 'data' / 'etcd.data'}\n"
        )
        path = self.folder / "configs" / "milvus.yaml"
        text = path.read_text().replace("\netcd:\n", f"\netcd:\n  config:\n    path: {self.folder / 'etcd.yaml'}\n", 1)
        path.write_text(text)

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "output.log").read_text()[-2000:]
            try:
                if httpx.get(f"http://127.0.0.1:{self.health_port}/healthz").text == "OK":
                    return
            except httpx.TransportError:
                """Not listening yet."""
            time.sleep(0.1)
        raise AssertionError(f"Milvus did not start within {START_SECONDS} s")


def milvus_store(database: Database, url: str) -> Store:
    """Each has collections of its own."""
    from app.adapters.vectors.milvus import connect_milvus  # noqa: PLC0415

    name = f"test_{uuid4().hex[:12]}"

    async def open_index(embedder: str, dimensions: int) -> SplitIndex:
        client = await connect_milvus(url, None, database=None)
        return await SplitIndex.open(client, database, embedder, dimensions, store="milvus", name=name)

    return Store(open_index, partial(new_project_of, database))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as reserved:
        sockets = [reserved.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


def load_package() -> Any:
    """Outside of the environment of the tests, because it is old."""
    if not (PACKAGE / "milvus").exists():
        raise FileNotFoundError(f"{PACKAGE} has no Milvus server. Run `make milvus-server`.")
    sys.path.append(str(PACKAGE))
    try:
        return importlib.import_module("milvus")
    finally:
        sys.path.remove(str(PACKAGE))


def start_milvus_lite(folder: Path) -> tuple[Any, Any, str]:
    """The server in a thread, its database, and its address."""
    lite = importlib.import_module("milvus_lite.adapter.grpc.server")
    server, database, port = lite.start_server_in_thread(data_dir=str(folder), host="127.0.0.1", port=0)
    return server, database, f"http://127.0.0.1:{port}"
