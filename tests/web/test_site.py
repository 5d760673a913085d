"""The one port: viser behind tokens, a policy on every answer, limits before bodies."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import psutil
import pytest
import viser
import websockets
import zstandard
from gradio import processing_utils
from PIL import Image
from viser._messages import SceneNodeClickMessage, ViewerCameraMessage

from svggt.web.limits import network_of
from svggt.web.proxy import MAX_SOCKETS
from tests.conftest import serve, wait_for
from tests.scene.frames import prediction

SUBPROTOCOL = f"viser-v{viser.__version__}"


def connect(address: str, token: str, **options):
    ws = address.replace("http", "ws")
    options = {"max_size": None, "subprotocols": [SUBPROTOCOL], "proxy": None} | options
    return websockets.connect(f"{ws}/viser/{token}", **options)


def test_the_viewer_is_a_page_of_ours_under_a_policy(site) -> None:
    address, sessions = site
    token = sessions.open("a").tokens.view
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
    expired = httpx.get(f"{address}/viser/{session.tokens.view}/")
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
    token = sessions.open("a").tokens.view
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
        "/replay/office/?playbackPath=/replay/office.viser&playbackPath=http://evil.example/x",
        "/replay/none/?playbackPath=/replay/none.viser",
        "/replay/..%2f..%2fapp.viser",
        "/replay/none.viser",
        "/shared/x%3FplaybackPath=http:%252F%252Fe%252Fx%23/?playbackPath=http://e/x",
        "/shared/x%3FplaybackPath=http:%2F%2Fe%2Fx/?playbackPath=http://e/x",
        "/embed/x%23/?playbackPath=http://e/x",
    ],
)
def test_only_our_own_replays_play(site, path: str) -> None:
    assert httpx.get(site[0] + path).status_code == 404


def test_the_replay_of_the_page_plays(site) -> None:
    address, _ = site
    page = httpx.get(f"{address}/replay/office/?playbackPath=/replay/office.viser")
    # As the client leaves its address, where it is loaded once more.
    again = {"playbackPath": "/replay/office.viser", "darkMode": "", "fixedDpr": "0.5"}
    reloaded = httpx.get(f"{address}/replay/office/", params=again)
    recording = httpx.get(f"{address}/replay/office.viser")
    assert page.status_code == reloaded.status_code == recording.status_code == 200
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
        async with connect(address, session.tokens.view) as early:
            assert early.subprotocol == SUBPROTOCOL
            session.scene.add(prediction())
            assert await read_until(early, b"/level/frames/0/0")
        async with connect(address, session.tokens.view) as late:
            assert await read_until(late, b"/level/frames/0/0")

    asyncio.run(watch())


def test_a_visitors_socket_shows_no_other_scene(site) -> None:
    address, sessions = site
    one, two = sessions.open("a"), sessions.open("b")
    two.scene.add(prediction())

    async def watch() -> None:
        async with connect(address, one.tokens.view) as socket:
            assert not await read_until(socket, b"/level/frames/0/0", 1.5)

    asyncio.run(watch())


def click_on(frame: int) -> bytes:
    """What viser's client sends when its visitor clicks a frustum."""
    name = f"/level/frustums/{frame}"
    origin, screen = (0.0, 0.0, 0.0), (0.5, 0.5)
    message = SceneNodeClickMessage(name, None, origin, (0.0, 0.0, 1.0), screen, None)
    return msgspec.msgpack.encode(message.as_serializable_dict())


def camera_at(x: float, height: int = 90) -> bytes:
    """What viser's client says of where its visitor looks from."""
    up = (0.0, -1.0, 0.0)
    message = ViewerCameraMessage(
        (1.0, 0.0, 0.0, 0.0), (x, 0.0, 0.0), 1.0, 0.1, 9.0, height, 90, (x, 0.0, 1.0), up
    )
    return msgspec.msgpack.encode(message.as_serializable_dict())


@pytest.mark.parametrize(("role", "drives"), [("view", True), ("reader", False)])
def test_a_readers_socket_says_where_it_looks_from_and_no_more(site, role, drives: bool) -> None:
    address, sessions = site
    session = sessions.open("a")
    session.scene.add(prediction())

    async def look_on() -> None:
        async with connect(address, getattr(session.tokens, role)) as socket:
            assert await read_until(socket, b"/level/frames/0/0")
            await socket.send(camera_at(7.0))
            await socket.send(click_on(0))
            if not drives:
                await socket.send(b"\x00 no message")
                await socket.send(camera_at(8.0))
                await socket.send(camera_at(float("nan")))
                await socket.send(camera_at(9.0, height=0))
            await asyncio.sleep(0.5)
            (client,) = session.scene._server.get_clients().values()
            assert drives or client.camera.position[0] == 8.0

    asyncio.run(look_on())
    assert session.scene._inside is drives


def test_a_revoked_link_closes_its_sockets(site) -> None:
    address, sessions = site
    session = sessions.open("a")

    async def look_on() -> None:
        async with (
            connect(address, session.tokens.reader) as reader,
            connect(address, session.tokens.view) as owner,
        ):
            sessions.revoke(session)
            await asyncio.wait_for(reader.wait_closed(), 10)
            assert owner.state is websockets.State.OPEN

    asyncio.run(look_on())


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [("http://evil.example", False), ("null", False), ("own", True), (None, True)],
)
def test_other_sites_may_not_open_the_socket(site, origin: str | None, welcome: bool) -> None:
    address, sessions = site
    token = sessions.open("a").tokens.view

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
    token = sessions.open("a").tokens.view

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
        async with connect(address, session.tokens.view) as socket:
            await socket.recv()
            await asyncio.to_thread(sessions.close, session.token)
            while True:
                await asyncio.wait_for(socket.recv(), 5)

    with pytest.raises(websockets.ConnectionClosed):
        asyncio.run(watch())


def test_viser_listens_on_loopback_only(site) -> None:
    port = site[1].open("a").scene.port
    listening = [c for c in psutil.Process().net_connections("tcp") if c.laddr.port == port]
    assert listening and {c.laddr.ip for c in listening} == {"127.0.0.1"}


class Intruder:
    """Speaks Gradio's queue protocol by hand, as a script would that ignores the page."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=30)
        self.session = secrets.token_hex(6)
        config = self.client.get("/config").json()
        dependencies = config["dependencies"]
        self.parts = {c["id"]: c for c in config["components"]}
        (start,) = (n for n, c in self.parts.items() if c["props"].get("elem_id") == "start")
        self.start = next(d for d in dependencies if [start, "click"] in d["targets"])
        selects = [d for d in dependencies if any(of == "select" for _, of in d["targets"])]
        chosen = [[d for d in selects if d["outputs"][:1] == [n]] for n in self.start["inputs"]]
        _, upload_tab, _ = max(chosen, key=len)  # each tab says that it is open
        self.call(upload_tab, [])  # what the browser says of the open tab stays with the server

    def press_start(self, files: list[dict]) -> str:
        """Everything that the server says to a Start of an upload, as text."""
        changed = {"FPS": 2, "Max frames": 2}
        data = []
        for part in map(self.parts.__getitem__, self.start["inputs"]):
            value = changed.get(part["props"].get("label"), part["props"].get("value"))
            data.append({"file": files, "state": None}.get(part["type"], value))
        return self.call(self.start, data)

    def call(self, dependency: dict, data: list) -> str:
        event = {"data": data, "fn_index": dependency["id"], "session_hash": self.session}
        joined = self.client.post("/gradio_api/queue/join", json=event)
        if joined.status_code != 200:
            return joined.text
        said = ""
        path = f"/gradio_api/queue/data?session_hash={self.session}"
        with self.client.stream("GET", path) as stream:
            for line in stream.iter_lines():
                said += line
                if "process_completed" in line or "close_stream" in line:
                    break
        return said

    def upload(self, name: str, content: bytes) -> dict:
        files = {"files": (name, content)}
        (path,) = self.client.post("/gradio_api/upload", files=files).json()
        return named(path)


def named(path: str, **more: object) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def picture(colour=(200, 30, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (84, 56), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_upload_runs_and_its_copy_goes_with_its_session(site) -> None:
    address, sessions = site
    intruder = Intruder(address)
    upload = intruder.upload("a.png", picture())
    assert "Finished: 1 frame" in intruder.press_start([upload])
    (session,) = sessions.in_memory
    (kept,) = (session.recording.folder / "source").iterdir()
    assert kept.read_bytes() == picture() and kept.name == "000000.png"
    sessions.remove(session.token)
    assert not kept.exists()


@pytest.mark.parametrize("more", [{}, {"is_stream": True}, {"url": "http://127.0.0.1:9/x"}])
@pytest.mark.parametrize("where", ["secret.png", "secret.svg", "/etc/passwd", "/dev/zero"])
def test_a_path_that_was_not_uploaded_is_not_read(site, tmp_path: Path, where, more) -> None:
    address, sessions = site
    secret = tmp_path / where
    if not where.startswith("/"):
        secret.write_bytes(picture())
    started = time.monotonic()
    said = Intruder(address).press_start([named(str(secret), **more)])
    assert "Finished" not in said and len(sessions) == 0
    assert time.monotonic() - started < 10
    copies = [p for p in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if p.name == secret.name]
    assert not copies
    assert httpx.get(f"{address}/gradio_api/file={secret}").status_code in (403, 404)


def test_no_address_is_fetched(site, monkeypatch) -> None:
    """A visitor's server is never asked, however the address is dressed up.

    Gradio refuses loopback by itself and fetches the rest of the world, so that it is watched too.
    """
    asked: list[str] = []

    async def fetch(url: str, *_, **__) -> None:
        asked.append(url)
        raise ValueError("not fetched")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetch)

    class Bait(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bait)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bait = f"http://127.0.0.1:{server.server_port}/x.png"
    world = "https://example.com/x.png"
    for file in (
        named(bait), named(bait, url=bait), named("x.png", url=bait, is_stream=True),
        named(world), named(world.upper()), named("x.png", url=world), [named(world)],
    ):  # fmt: skip
        assert "Finished" not in Intruder(site[0]).press_start([file])
        values = ["upload", "office", [file], *[None] * 20]
        for path in ("call", "run"):
            httpx.post(f"{site[0]}/gradio_api/{path}/start", json={"data": values}, timeout=30)
    server.shutdown()
    server.server_close()
    assert not asked and len(site[1]) == 0


def test_bad_uploads_leave_no_session_behind(site) -> None:
    address, sessions = site
    intruder = Intruder(address)
    for _ in range(8):
        said = intruder.press_start([intruder.upload("a.png", b"no picture")])
        assert "JPEG, PNG, WebP, HEIC, AVIF, TIFF or GIF" in said
    assert len(sessions) == 0
    assert "Finished" in intruder.press_start([intruder.upload("a.png", picture())])


STRANGE = ("x" * 50, -1e9, {"path": "/etc/passwd"}, [[1, None]], True)


@pytest.mark.slow
def test_values_of_another_kind_fill_no_log(site, capfd, caplog) -> None:
    """Every event of the page, with every kind of value: a traceback once, at most."""
    intruder = Intruder(site[0])
    dependencies = intruder.client.get("/config").json()["dependencies"]

    def tracebacks() -> int:
        for dependency in dependencies:
            for value in STRANGE:
                intruder.call(dependency, [value] * len(dependency["inputs"]))
        logged = sum(bool(record.exc_info) for record in caplog.records)
        caplog.clear()
        return logged + capfd.readouterr().err.count("Traceback")

    assert tracebacks() < 100
    assert tracebacks() == 0


def test_a_second_socket_key_does_not_slip_through(site) -> None:
    address, sessions = site
    token = sessions.open("a").tokens.view
    own = f"ws://{urlsplit(address).netloc}/viser/{token}"
    query = [("websocket", "ws://evil.example"), ("websocket", own)]
    assert httpx.get(f"{address}/viser/{token}/", params=query).status_code == 404


def test_one_scene_has_a_limit_of_sockets(site) -> None:
    address, sessions = site
    token = sessions.open("a").tokens.view

    async def crowd() -> int:
        opened = []
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MAX_SOCKETS + 3):
                try:
                    opened.append(await stack.enter_async_context(connect(address, token)))
                except websockets.InvalidStatus:
                    break
        return len(opened)

    def is_full() -> bool:
        """Less get in while this address has to wait: tests before this one asked much."""
        size = asyncio.run(crowd())
        assert size <= MAX_SOCKETS
        return size == MAX_SOCKETS

    wait_for(is_full)
    wait_for(is_full)  # places are given back


def test_refusals_carry_the_policy_too(site) -> None:
    answer = httpx.post(f"{site[0]}/nothing", content=bytes(5_000_000))
    assert answer.status_code == 413
    assert "connect-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_a_visitor_is_an_address_or_an_ipv6_network(one: str, two: str, same: bool) -> None:
    assert (network_of(one) == network_of(two)) is same


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
        assert answer.status_code == 413
    except httpx.WriteError:
        pass  # cut off while sending, as it should be


def test_uploads_have_their_own_limit(site) -> None:
    address, _ = site
    fits = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", bytes(900_000))})
    large = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", bytes(1_200_000))})
    assert fits.status_code == 200 and large.status_code == 413


def test_a_hasty_address_is_told_to_wait(worker) -> None:
    """After how many requests depends on how fast the machine serves them."""
    with serve(worker) as (address, _), httpx.Client() as client:
        answers = (client.get(f"{address}/nothing").status_code for _ in range(3000))
        first = next(answers)
        assert first == 404 and any(code == 429 for code in answers)


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=/etc/passwd", "/gradio_api/file=app.py", "/docs"]
)
def test_no_file_of_the_machine_is_served(site, path: str) -> None:
    assert httpx.get(site[0] + path).status_code in (403, 404)
