"""A camera's page and socket: its token sends pictures into one run, and nothing else."""

from __future__ import annotations

import asyncio
import json
import struct
import time

import httpx
import pytest
import websockets

from svggt.media.camera_stream import MAX_BYTES, CameraFeed, LiveClip
from svggt.media.frames import InputLimits
from svggt.session.session import Session
from svggt.settings import StreamSettings
from svggt.web.capture import panel
from tests.media.files import jpeg


def message(picture: bytes) -> bytes:
    return struct.pack("<I", 0) + picture


def waiting(sessions) -> Session:
    session = sessions.open("a")
    clip = LiveClip(CameraFeed(), 84, InputLimits(max_frames=3))
    session.start(clip, StreamSettings(model="tiny", window=2))
    return session


def connect(address: str, token: str, origin: str | None = None):
    url = f"{address.replace('http', 'ws')}/capture/{token}"
    return websockets.connect(url, origin=origin, proxy=None)


async def close_code(socket) -> int:
    await asyncio.wait_for(socket.wait_closed(), 10)
    return socket.close_code


def test_pictures_become_frames_and_the_camera_hears_of_it(site, monkeypatch) -> None:
    address, sessions = site
    session = waiting(sessions)
    draw = session.scene.add

    def slowly(*arguments) -> None:  # the last one too: the camera hears of it all the same
        time.sleep(0.3)
        draw(*arguments)

    monkeypatch.setattr(session.scene, "add", slowly)

    async def send() -> dict:
        told = {"ended": False}
        async with connect(address, session.tokens.capture, origin=address) as socket:
            for number in range(200):
                await socket.send(message(jpeg(number)))
                told = json.loads(await asyncio.wait_for(socket.recv(), 10))
                if told["ended"]:
                    break
                await asyncio.sleep(0.05)
        return told

    told = asyncio.run(send())
    assert told["ended"] and told["frames"] == 3 and told["made"] >= 3
    end = time.monotonic() + 10
    while session.running and time.monotonic() < end:
        time.sleep(0.05)
    assert session.progress.state == "finished" and session.scene.num_frames == 3
    assert "pictures from the camera" in session.progress.note


def test_a_newer_camera_takes_over(site) -> None:
    address, sessions = site
    session = waiting(sessions)

    async def replace() -> int:
        async with connect(address, session.tokens.capture) as first:
            await first.send(message(jpeg(0)))
            await first.recv()
            async with connect(address, session.tokens.capture) as second:
                code = await close_code(first)
                for number in range(1, 100):
                    await second.send(message(jpeg(number)))
                    if json.loads(await second.recv())["frames"] >= 2:
                        break
                    await asyncio.sleep(0.05)
                return code

    assert asyncio.run(replace()) == 4000
    assert session.progress.frames_done >= 2  # the newer camera's are taken


def test_other_tokens_and_other_sites_may_not_send(site) -> None:
    address, sessions = site
    session = waiting(sessions)
    idle = sessions.open("b")  # no run waits for its camera

    async def knock(token: str, origin: str | None) -> int:
        async with connect(address, token, origin) as socket:
            return await close_code(socket)

    for token in ("x", session.token, session.tokens.view, idle.tokens.capture):
        assert asyncio.run(knock(token, None)) == 1008
    assert asyncio.run(knock(session.tokens.capture, "http://evil.example")) == 1008
    assert session.camera is not None and session.camera.received.made == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("text", 1009),
        (b"", 1009),
        (b"x" * 4, 1009),
        (message(b"x" * (MAX_BYTES + 1)), 1009),
    ],
)
def test_odd_messages_end_the_socket_and_not_the_run(site, data: bytes | str, code: int) -> None:
    address, sessions = site
    session = waiting(sessions)

    async def send() -> int:
        async with connect(address, session.tokens.capture) as socket:
            await socket.send(data)
            return await close_code(socket)

    assert asyncio.run(send()) == code
    assert session.running


def test_the_page_is_served_for_its_token_only(site) -> None:
    address, sessions = site
    token = sessions.open("a").tokens.capture
    page = httpx.get(f"{address}/capture/{token}/")
    assert page.status_code == 200 and "getUserMedia" in page.text
    assert page.headers["permissions-policy"] == "camera=(self)"
    for other in ("x", sessions.open("b").token):
        assert httpx.get(f"{address}/capture/{other}/").status_code == 404


def test_the_phones_code_is_shown_where_a_phone_can_use_it() -> None:
    assert "<svg" in panel("t", "https://demo.example")
    assert "<svg" not in panel("t", "http://192.0.2.7:7860")
    assert "ssl-certfile" in panel("t", "http://192.0.2.7:7860")
    for host in ("127.0.0.1:7860", "localhost:7860", "[::1]:7860"):
        assert "cannot reach" in panel("t", f"https://{host}")
    assert "<script>" not in panel("t", "https://<script>x</script>")
