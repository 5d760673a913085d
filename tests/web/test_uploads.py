"""What strangers send: counted as it arrives, bounded in time, gone when nobody wants it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from svggt.media.frames import InputLimits
from svggt.web import limits, patience
from svggt.web.temporary import temporary_folder
from svggt.web.uploads import FULL, YOURS, UploadFolder
from tests.conftest import serve

HOURS_AGO = time.time() - 7200


def test_bytes_count_as_they_arrive(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path, quota_bytes=1000, address_bytes=700)
    assert not folder.refusal("a", 600) and not folder.refusal("b", 300)
    assert folder.refusal("c", 200) == FULL
    folder.sweep()  # all of them broke off and left nothing
    assert not folder.refusal("c") and folder.refusal("a", 200) == YOURS


def test_aborted_uploads_do_not_fill_the_disk(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path, quota_bytes=1000, address_bytes=9999)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "aborted").write_bytes(bytes(600))
    (tmp_path / "whole").write_bytes(bytes(600))
    folder.sweep()
    assert folder.refusal("a") == FULL
    os.utime(tmp_path / "some" / "aborted", (HOURS_AGO, HOURS_AGO))
    folder.sweep()
    os.utime(tmp_path / "some", (HOURS_AGO, HOURS_AGO))
    folder.sweep()
    assert not folder.refusal("a") and [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_uploads_leave_room_on_the_disk(tmp_path: Path, monkeypatch) -> None:
    folder = UploadFolder(tmp_path, quota_bytes=1000, address_bytes=1000)
    monkeypatch.setattr("svggt.web.uploads._FREE_BYTES", 1 << 60)
    assert folder.refusal("a") == FULL


def test_an_address_has_a_share_of_its_own(worker) -> None:
    with serve(worker, InputLimits(max_bytes=100_000)) as (address, _):
        codes = []
        for _ in range(8):
            files = {"files": ("a.png", bytes(90_000))}
            codes.append(httpx.post(f"{address}/gradio_api/upload", files=files).status_code)
        assert codes[:5] == [200] * 5 and codes[-1] == 429


@pytest.fixture
def hasty(worker, monkeypatch) -> Iterator[str]:
    """The address of a site that waits half a second for what should come."""
    monkeypatch.setattr(patience, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(limits, "_BODY_SECONDS", 0.5)
    monkeypatch.setattr(limits, "_CHUNK_SECONDS", 0.5)
    with serve(worker) as (address, _):
        yield address


def said(address: str, *parts: bytes) -> bytes:
    """What a connection is told that sends parts, and then nothing more."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.3)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
        return answer


WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [(), (b"GET / HT",), (b"GET / HTTP/1.1\r\n", b"Host: a\r\n"), (WHOLE, b"GET /")],
    ids=["nothing", "half a line", "a header now and then", "a second half"],
)
def test_half_a_request_is_not_held(hasty: str, parts: tuple[bytes, ...]) -> None:
    began = time.monotonic()
    answer = said(hasty, *parts)
    assert time.monotonic() - began < 8
    assert (b"200 OK" in answer) == (WHOLE in parts)


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/upload"])
def test_half_a_body_is_not_held(hasty: str, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
    kind = "Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
    answer = said(hasty, (head + kind).encode(), b"--x\r\n")
    assert b"408" in answer and b"too slowly" in answer


def test_what_comes_in_time_takes_as_long_as_it_needs(hasty: str) -> None:
    """Connections that are kept, and answers that go on, outlive the bound on headers."""
    with httpx.Client(base_url=hasty) as client:
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
            time.sleep(0.4)
        with client.stream("GET", "/gradio_api/heartbeat/x") as stream:
            time.sleep(1.2)
            assert stream.status_code == 200
            assert next(stream.iter_bytes())


def test_what_killed_servers_left_goes_and_nothing_else(tmp_path: Path) -> None:
    dead, held, strange = (tmp_path / f"svggt-uploads-{name}" for name in ("a", "b", "c"))
    for folder in (dead, held, strange):
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "picture.png").write_bytes(b"x")
    (dead / "lock").touch()
    (strange / "thesis.tex").write_text("mine")  # no lock of ours
    with FileLock(held / "lock"), temporary_folder(tmp_path) as own:
        assert own.is_dir() and not dead.exists()
        assert (held / "files" / "picture.png").is_file()
        assert (strange / "files" / "picture.png").is_file() and (strange / "thesis.tex").is_file()
    assert not own.exists()


@pytest.mark.parametrize("header", ["Content-Disposition", "content-disposition"])
def test_a_request_has_a_bound_on_its_files(site, header: str) -> None:
    """However its parts are written, and wherever its chunks end."""
    address, _ = site
    part = f'--x\r\n{header}: form-data; name="files"; filename="a.png"\r\n\r\n\r\n'.encode()
    body = 501 * part + b"--x--\r\n"

    def chunks():
        for first in range(0, len(body), 997):
            yield body[first : first + 997]

    answer = httpx.post(
        f"{address}/gradio_api/upload",
        content=chunks(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413 and "at most 500" in answer.text
