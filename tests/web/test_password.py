"""A private server opens to who knows its password, and to nobody else by any way."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import websockets.sync.client as sockets
from gradio_client import Client
from websockets.exceptions import WebSocketException

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from svggt.session.registry import Sessions
from tests.conftest import serve

PASSWORD = "a word, ünd more"
BASIC = httpx.BasicAuth("", PASSWORD)


@pytest.fixture(scope="module")
def private(tiny: LoadedModel) -> Iterator[tuple[str, Sessions]]:
    worker = LocalWorker(ModelRegistry([tiny]))
    with serve(worker, password=PASSWORD) as started:
        yield started
    worker.shutdown()


def signed_in(address: str, password: str = PASSWORD) -> httpx.Client:
    client = httpx.Client(base_url=address, follow_redirects=True)
    client.post("/sign-in", data={"password": password})
    return client


def test_nothing_is_open_without_it(private) -> None:
    address, sessions = private
    tokens = sessions.open("a").tokens
    for path in (
        "/",
        "/config",
        "/gradio_api/info",
        "/gradio_api/file=/etc/passwd",
        f"/viser/{tokens.view}/",
        f"/export/{tokens.reader}/tum",
        f"/capture/{tokens.capture}/",
        "/replay/office.viser",
    ):
        assert httpx.get(address + path).status_code == 401, path
    assert httpx.post(f"{address}/gradio_api/upload", files={"files": b"x"}).status_code == 401
    assert httpx.post(f"{address}/gradio_api/call/describe", json={"data": []}).status_code == 401
    assert httpx.get(f"{address}/healthz").text == "ok"
    for path in (f"/viser/{tokens.view}/", f"/capture/{tokens.capture}/pictures"):
        with pytest.raises(WebSocketException), sockets.connect(f"ws{address[4:]}{path}"):
            pass


def test_a_page_that_frames_a_scene_says_where_it_can_be_seen(private) -> None:
    """Browsers send no cookie to what another site frames: a form there would open nothing."""
    address, sessions = private
    reader, html = sessions.open("a").tokens.reader, {"Accept": "text/html"}
    answer = httpx.get(f"{address}/embed/{reader}/", headers=html)
    assert answer.status_code == 401 and f'href="/?s={reader}"' in answer.text
    assert "frame-ancestors *" in answer.headers["content-security-policy"]
    strange = httpx.get(f"{address}/embed/%22%3E%3Cb%3E/", headers=html)
    assert "<b>" not in strange.text
    for path in ("/", f"/shared/{reader}/"):  # pages of their own ask
        asked = httpx.get(address + path, headers=html)
        assert "Its password" in asked.text
        assert "frame-ancestors *" not in asked.headers["content-security-policy"]


def test_a_browser_is_asked_once(private) -> None:
    address, sessions = private
    asked = httpx.get(address, headers={"Accept": "text/html"})
    assert asked.status_code == 401 and 'type="password"' in asked.text
    client = signed_in(address)
    assert client.get("/").status_code == 200 and "gradio" in client.get("/").text
    (cookie,) = client.cookies.jar
    assert cookie.has_nonstandard_attr("HttpOnly") and PASSWORD not in str(cookie.value)
    view = sessions.open("b").tokens.view
    header = {"Cookie": f"{cookie.name}={cookie.value}"}
    with sockets.connect(f"ws{address[4:]}/viser/{view}/", additional_headers=header):
        pass  # it is let in


def test_a_script_says_it(private) -> None:
    address, _ = private
    assert httpx.get(f"{address}/config", auth=BASIC).status_code == 200
    client = Client(address, verbose=False, httpx_kwargs={"auth": BASIC})
    assert "tiny" in client.predict(api_name="/describe")["models"]
    client.close()


@pytest.mark.parametrize("cookie", ["", "x", "ü", "0" * 64])
def test_no_other_cookie_opens_it(private, cookie: str) -> None:
    sent = {"Cookie": f"svggt_key={cookie}".encode()}
    assert httpx.get(private[0], headers=sent).status_code == 401


def test_guesses_are_slow(private) -> None:
    """Last: this address has to wait afterwards."""
    address, _ = private
    for _ in range(10):
        assert signed_in(address, "wrong").get("/config").status_code == 401
    for way in ({"auth": BASIC}, {"auth": httpx.BasicAuth("", "wrong")}):
        assert httpx.get(f"{address}/config", **way).status_code == 401
    refused = httpx.post(f"{address}/sign-in", data={"password": PASSWORD})
    assert refused.status_code == 429 and "wait" in refused.text
