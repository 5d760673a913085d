"""The one port: viser behind tokens, a policy on every answer, limits before bodies."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import viser
import websockets
import zstandard

from svggt.frames import InputLimits
from svggt.sessions import Sessions
from svggt.workers import LocalWorker
from tests.conftest import serve
from tests.test_scene import prediction

SUBPROTOCOL = f"viser-v{viser.__version__}"


@pytest.fixture
def site(worker: LocalWorker) -> Iterator[tuple[str, Sessions]]:
    with serve(worker, InputLimits(max_bytes=1_000_000)) as served:
        yield served


def connect(address: str, token: str, **options):
    ws = address.replace("http", "ws")
    options = {"max_size": None, "subprotocols": [SUBPROTOCOL], "proxy": None} | options
    return websockets.connect(f"{ws}/viser/{token}", **options)


def test_the_viewer_is_a_page_of_ours_under_a_policy(site) -> None:
    address, sessions = site
    token = sessions.open("a").viewer_token
    answer = httpx.get(f"{address}/viser/{token}/")
    assert answer.status_code == 200 and "root" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "connect-src 'self'" in policy and "frame-ancestors 'self'" in policy


def test_the_policy_is_on_every_answer(site) -> None:
    address, _ = site
    for path in ("/", "/gradio_api/info", "/nothing"):
        headers = httpx.get(address + path).headers
        assert "connect-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_unknown_and_expired_look_the_same(site) -> None:
    address, sessions = site
    session = sessions.open("a")
    sessions.close(session.token)
    unknown = httpx.get(f"{address}/viser/{'x' * 32}/")
    expired = httpx.get(f"{address}/viser/{session.viewer_token}/")
    assert unknown.status_code == expired.status_code == 404
    assert unknown.content == expired.content


def test_the_owners_token_opens_no_viewer(site) -> None:
    address, sessions = site
    assert httpx.get(f"{address}/viser/{sessions.open('a').token}/").status_code == 404


@pytest.mark.parametrize(
    "query",
    ["websocket=ws://evil.example", "websocket=wss://127.0.0.1:1/x", "playbackPath=http://e/x"],
)
def test_the_client_cannot_be_bound_to_another_server(site, query: str) -> None:
    address, sessions = site
    token = sessions.open("a").viewer_token
    assert httpx.get(f"{address}/viser/{token}/?{query}").status_code == 404
    own = f"ws://{urlsplit(address).netloc}/viser/{token}"
    assert httpx.get(f"{address}/viser/{token}/", params={"websocket": own}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/replay/office/",
        "/replay/office/?playbackPath=/etc/passwd",
        "/replay/office/?playbackPath=http://evil.example/x",
        "/replay/office/?playbackPath=/replay/office.viser&websocket=ws://evil",
        "/replay/none/?playbackPath=/replay/none.viser",
        "/replay/..%2f..%2fapp.viser",
        "/replay/none.viser",
    ],
)
def test_only_our_own_replays_play(site, path: str) -> None:
    assert httpx.get(site[0] + path).status_code == 404


def test_the_replay_of_the_page_plays(site) -> None:
    address, _ = site
    page = httpx.get(f"{address}/replay/office/?playbackPath=/replay/office.viser")
    recording = httpx.get(f"{address}/replay/office.viser")
    assert page.status_code == recording.status_code == 200
    assert len(recording.content) > 100_000


async def read_until(socket, wanted: bytes, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            message = await asyncio.wait_for(socket.recv(), 0.5)
        except TimeoutError:
            continue
        size = int.from_bytes(message[8:16], "little")  # viser's wire: see its infra module
        if wanted in zstandard.ZstdDecompressor().decompress(message[16 : 16 + size]):
            return True
    return False


def test_frames_reach_a_browser_and_a_late_one(site) -> None:
    address, sessions = site
    session = sessions.open("a")

    async def watch() -> None:
        async with connect(address, session.viewer_token) as early:
            assert early.subprotocol == SUBPROTOCOL
            session.scene.add(prediction())
            assert await read_until(early, b"/level/frames/0/points")
        async with connect(address, session.viewer_token) as late:
            assert await read_until(late, b"/level/frames/0/points")

    asyncio.run(watch())


def test_a_visitors_socket_shows_no_other_scene(site) -> None:
    address, sessions = site
    one, two = sessions.open("a"), sessions.open("b")
    two.scene.add(prediction())

    async def watch() -> None:
        async with connect(address, one.viewer_token) as socket:
            assert not await read_until(socket, b"/level/frames/0/points", 1.5)

    asyncio.run(watch())


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [("http://evil.example", False), ("null", False), ("own", True), (None, True)],
)
def test_other_sites_may_not_open_the_socket(site, origin: str | None, welcome: bool) -> None:
    address, sessions = site
    token = sessions.open("a").viewer_token

    async def knock() -> bool:
        try:
            async with connect(address, token, origin=address if origin == "own" else origin):
                return True
        except websockets.InvalidStatus:
            return False

    assert asyncio.run(knock()) is welcome


def test_an_unknown_token_opens_no_socket(site) -> None:
    async def knock() -> None:
        async with connect(site[0], "x" * 32):
            pass

    with pytest.raises(websockets.InvalidStatus):
        asyncio.run(knock())


def test_a_flood_in_one_message_ends_the_socket(site) -> None:
    address, sessions = site
    token = sessions.open("a").viewer_token

    async def flood() -> None:
        async with connect(address, token) as socket:
            await socket.send(bytes(3 << 20))
            await socket.recv()
            while True:
                await asyncio.wait_for(socket.recv(), 5)

    with pytest.raises(websockets.ConnectionClosed):
        asyncio.run(flood())


def test_closing_the_session_closes_its_sockets(site) -> None:
    address, sessions = site
    session = sessions.open("a")

    async def watch() -> None:
        async with connect(address, session.viewer_token) as socket:
            await socket.recv()
            await asyncio.to_thread(sessions.close, session.token)
            while True:
                await asyncio.wait_for(socket.recv(), 5)

    with pytest.raises(websockets.ConnectionClosed):
        asyncio.run(watch())


def test_viser_listens_on_loopback_only(site) -> None:
    port = site[1].open("a").scene.port
    with socket.socket() as probe:
        probe.settimeout(2)
        probe.connect(("127.0.0.1", port))
    for host in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}:
        if not str(host).startswith("127.") and ":" not in str(host):
            with socket.socket() as probe:
                probe.settimeout(1)
                assert probe.connect_ex((str(host), port)) != 0


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/nothing", "/gradio_api/run/x"])
def test_large_bodies_are_refused_unread(site, path: str) -> None:
    answer = httpx.post(site[0] + path, content=bytes(5_000_000))
    assert answer.status_code == 413


def test_a_body_that_lies_about_its_length_is_counted(site) -> None:
    def endless():
        for _ in range(100):
            yield bytes(100_000)

    try:
        answer = httpx.post(f"{site[0]}/gradio_api/queue/join", content=endless())
        assert answer.status_code in (400, 413)
    except httpx.WriteError:
        pass  # cut off while sending, as it should be


def test_uploads_have_their_own_limit(site) -> None:
    address, _ = site
    fits = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", bytes(900_000))})
    large = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", bytes(1_200_000))})
    assert fits.status_code == 200 and large.status_code == 413


def test_a_hasty_address_is_told_to_wait(site) -> None:
    with httpx.Client() as client:
        codes = [client.get(f"{site[0]}/nothing").status_code for _ in range(800)]
    assert codes[0] == 404 and codes[-1] == 429


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=/etc/passwd", "/gradio_api/file=app.py", "/docs"]
)
def test_no_file_of_the_machine_is_served(site, path: str) -> None:
    assert httpx.get(site[0] + path).status_code in (403, 404)
