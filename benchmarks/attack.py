"""The page as an attacker meets it: every attack of docs/security.md that works over the network.

`python -m benchmarks.attack`: starts `app.py` on folders of its own, attacks it from several
addresses while an honest visitor's health check is timed, and says of every attack whether the
server held: a refusal, no wait of more than a second for others, nothing of anybody else's changed.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import tyro
import websockets.sync.client as sockets
from gradio_client import Client
from PIL import Image
from websockets.exceptions import WebSocketException

from benchmarks.served import ROOT, serving

_LONGEST_WAIT = 1.0  # seconds of an honest visitor's health check
_FOREIGN = b"a thesis"


@dataclass
class Target:
    """A server under attack.

    Attributes:
        address: scheme://host:port.
        port: where it listens.
        store: its folder, with a file of somebody else's beside it.
        waits: seconds of every health check.
    """

    address: str
    port: int
    store: Path
    waits: list[float] = field(default_factory=list)

    def as_stranger(self, number: int) -> httpx.Client:
        """A client with an address of its own."""
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60)


Attack = Callable[[Target], bool]
"""Attacks, and says whether the server held."""


def nested_lists(target: Target) -> bool:
    """Three megabytes that would hold a parser for seconds."""
    with target.as_stranger(1) as client:
        body = b'{"data":' + b"[" * 1_500_000 + b"]" * 1_500_000 + b"}"
        return client.post("/gradio_api/call/start", content=body).status_code == 413


def many_values(target: Target) -> bool:
    """A small body of very many values."""
    with target.as_stranger(2) as client:
        body = b'{"data":[' + b"1," * 400_000 + b"1]}"
        return client.post("/gradio_api/call/start", content=body).status_code == 413


def upload_by_another_name(target: Target) -> bool:
    """A path that only ends in upload has no room for files."""
    with target.as_stranger(3) as client:
        answer = client.post("/gradio_api/call/upload", content=bytes(5_000_000))
        return answer.status_code in (404, 413)


def too_large(target: Target) -> bool:
    """An upload that promises little and sends much."""

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
        for _ in range(260):
            yield bytes(1_000_000)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    with target.as_stranger(4) as client, contextlib.suppress(httpx.TransportError):
        answer = client.post("/gradio_api/upload", content=chunks(), headers=kind)
        return answer.status_code == 413
    return True  # cut off


def half_requests(target: Target) -> bool:
    """Hundreds of connections that never say what they want."""
    held = []
    for _ in range(440):
        connection = socket.create_connection(("127.0.0.1", target.port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        held.append(connection)
    time.sleep(12)
    closed = 0
    for connection in held:
        connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            closed += not connection.recv(4096) or True
        connection.close()
    return closed == len(held)


def forged_host(target: Target) -> bool:
    """A name that is not the server's, and a proxy's word for it."""
    with target.as_stranger(5) as client:
        answers = [
            client.get("/", headers={"Host": "evil.example"}),
            client.get("/config", headers={"X-Forwarded-Host": "evil.example"}),
        ]
        told = client.get("/config", headers={"X-Gradio-Server": "http://evil.example"})
        return all(a.status_code == 400 for a in answers) and "evil.example" not in told.text


def other_sites(target: Target) -> bool:
    """Another site's page that reads, sends or opens a socket."""
    origin = {"Origin": "https://evil.example"}
    with target.as_stranger(6) as client:
        sent = client.post("/gradio_api/call/start", json={"data": []}, headers=origin)
        read = client.get("/config", headers=origin)
    try:
        with sockets.connect(f"ws://127.0.0.1:{target.port}/viser/x/", additional_headers=origin):
            return False
    except (WebSocketException, OSError):
        return sent.status_code == 403 and "access-control-allow-origin" not in read.headers


def closed_routes(target: Target) -> bool:
    """What Gradio offers and this page does not."""
    paths = (
        "/openapi.json", "/gradio_api/runs", "/gradio_api/token", "/gradio_api/dev/reload",
        "/gradio_api/proxy=http://127.0.0.1:1/", "/monitoring/summary", "/login", "/metrics",
    )  # fmt: skip
    with target.as_stranger(7) as client:
        return all(client.get(path).status_code == 404 for path in paths)


def files_of_the_machine(target: Target) -> bool:
    """Paths out of every folder."""
    paths = (
        "/gradio_api/file=/etc/passwd", f"/gradio_api/file={target.store}/run.json",
        "/replay/..%2f..%2fetc%2fpasswd", "/export/x/../../etc/passwd",
        "/viser/%2e%2e/%2e%2e/etc/passwd",
    )  # fmt: skip
    with target.as_stranger(8) as client:
        return all("root:" not in (a := client.get(p)).text and a.status_code != 200 for p in paths)


def nonsense(target: Target) -> bool:
    """Calls that make no sense, as often as an address may."""
    with target.as_stranger(9) as client:
        codes = {
            client.post(f"/gradio_api/call/{name}", json={"data": data}).status_code
            for name in ("nothing", "start", "frame", "_start", "look")
            for data in ([], [None] * 3, ["x"] * 40)
            for _ in range(10)
        }
    return codes <= {200, 404, 422, 429}


def bomb(target: Target) -> bool:
    """A small picture of very many pixels."""
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    return "pixels" in _sentence(target, 10, "bomb.png", file.getvalue())


def script(target: Target) -> bool:
    """A playlist that names the machine's files, as a video."""
    listing = f"ffconcat version 1.0\nfile {ROOT / 'assets/clips/office.mp4'}\n"
    return "not a video" in _sentence(target, 11, "list.mp4", listing.encode())


def address_as_file(target: Target) -> bool:
    """An address in place of a file: nothing is fetched."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(2)
        port = listener.getsockname()[1]
        client = Client(target.address, verbose=False, headers={"X-Forwarded-For": "203.0.113.12"})
        with contextlib.suppress(Exception):
            link = f"http://127.0.0.1:{port}/a.mp4"
            file = {"path": link, "url": link, "meta": {"_type": "gradio.FileData"}}
            client.predict(source="upload", files=[file], api_name="/start")
        client.close()
        try:
            listener.accept()
        except TimeoutError:
            return True
    return False


def hasty(target: Target) -> bool:
    """More requests than an address may send."""
    with target.as_stranger(13) as client:
        return any(client.get("/healthz").status_code == 429 for _ in range(3000))


ATTACKS: tuple[Attack, ...] = (
    nested_lists,
    many_values,
    upload_by_another_name,
    too_large,
    half_requests,
    forged_host,
    other_sites,
    closed_routes,
    files_of_the_machine,
    nonsense,
    bomb,
    script,
    address_as_file,
    hasty,
)


def main(json_path: Path | None = None) -> int:
    """Attacks a server of its own, and prints what held; 1 if something did not.

    Args:
        json_path: where the figures go too.
    """
    with tempfile.TemporaryDirectory() as base:
        report = _attacked(Path(base))
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if json_path is not None:
        json_path.write_text(text + "\n", "utf-8")
    return 0 if all(report["held"].values()) else 1


def _attacked(base: Path) -> dict:
    store, log = base / "store", base / "log"
    with serving(store, log) as server:
        server.wait_ready()
        return _report(Target(server.address, server.port, store), store, log)


def _report(target: Target, store: Path, log: Path) -> dict:
    foreign = store / "thesis.txt"
    foreign.write_bytes(_FOREIGN)
    ended = threading.Event()
    watching = threading.Thread(target=_watch, args=(target, ended))
    watching.start()
    held, waits = {}, {}
    for attack in ATTACKS:
        target.waits.clear()
        held[attack.__name__] = attack(target)
        time.sleep(0.3)
        waits[attack.__name__] = round(max(target.waits, default=0.0), 3)
    ended.set()
    watching.join()
    visitor = Client(target.address, verbose=False)
    opened: Any = visitor.predict(source="example", max_frames=3, api_name="/start")
    last: Any = list(visitor.submit(opened["token"], api_name="/follow"))[-1]
    visitor.close()
    held["an honest visitor is served"] = last["state"] == "finished"
    held["nobody waits"] = max(waits.values()) < _LONGEST_WAIT
    held["others' files are there"] = foreign.read_bytes() == _FOREIGN
    held["no traceback in the log"] = "Traceback" not in log.read_text()
    return {"held": held, "longest wait of others, seconds": waits}


def _watch(target: Target, ended: threading.Event) -> None:
    """An honest visitor from an address of its own, ten times a second."""
    with target.as_stranger(200) as client:
        while not ended.wait(0.1):
            began = time.monotonic()
            with contextlib.suppress(httpx.TransportError):
                client.get("/healthz")
            target.waits.append(time.monotonic() - began)


def _sentence(target: Target, number: int, name: str, content: bytes) -> str:
    """What a visitor is told who sends a file and presses Start."""
    ip = f"203.0.113.{number}"
    with target.as_stranger(number) as client:
        sent = client.post("/gradio_api/upload", files={"files": (name, content)})
    client = Client(target.address, verbose=False, headers={"X-Forwarded-For": ip})
    file = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}, "orig_name": name}
    try:
        client.predict(source="upload", files=[file], api_name="/start")
    except Exception as error:  # noqa: BLE001  # the sentence is what is looked at
        return str(error)
    finally:
        client.close()
    return ""


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
