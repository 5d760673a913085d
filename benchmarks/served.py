"""The server as people start it, in a process of its own: what attack, soak and kill meet."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
from gradio_client import Client

ROOT = Path(__file__).resolve().parents[1]
_READY_SECONDS = 120
_END_SECONDS = 30
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Server:
    """A server that was started.

    Attributes:
        process: its own.
        port: where it listens, on loopback.
        log: what it wrote to standard error.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        """Returns when the page is there.

        Raises:
            TimeoutError: it is not in two minutes.
        """
        ends = time.monotonic() + _READY_SECONDS
        while time.monotonic() < ends:
            try:
                if httpx.get(f"{self.address}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise TimeoutError(self.log.read_text())

    def client(self, ip: str = "127.0.0.1") -> Client:
        """A script's client, from an address of its own."""
        return Client(self.address, verbose=False, headers={"X-Forwarded-For": ip})


@contextmanager
def serving(
    store: Path,
    log: Path,
    environment: Mapping[str, str] = _NOTHING,
    command: tuple[str, ...] = ("app.py",),
) -> Iterator[Server]:
    """`python app.py`, or the same by another name, on a free port; told to end at the end.

    Args:
        store: its folder.
        log: a file that takes what it says; added to.
        environment: besides this process's own.
        command: after `python`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, *command, "--port", str(port), "--store", str(store)]
    variables = {**os.environ, **environment}
    with (
        log.open("a") as lines,
        subprocess.Popen(words, cwd=ROOT, stderr=lines, env=variables) as process,  # noqa: S603  # ours
    ):
        try:
            yield Server(process, port, log)
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
