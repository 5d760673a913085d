"""What strangers find closed: routes nobody needs, forged hosts, other sites' pages."""

from __future__ import annotations

import contextlib
import gc

import httpx
import pytest
import websockets.sync.client as sockets
from gradio.state_holder import StateHolder
from websockets.exceptions import WebSocketException

CLOSED = (
    "/openapi.json",
    "/docs",
    "/gradio_api/openapi.json",
    "/gradio_api/runs",
    "/gradio_api/run-history",
    "/gradio_api/token",
    "/gradio_api/queue/status",
    "/gradio_api/dev/reload",
    "/gradio_api/deep_link",
    "/gradio_api/component_server",
    "/gradio_api/process_recording",
    "/gradio_api/proxy=http://127.0.0.1:1/",
    "/gradio_api/vibe-code/",
    "/monitoring",
    "/monitoring/summary",
    "/login",
    "/login_check",
    "/logout",
)


@pytest.mark.parametrize("path", CLOSED)
def test_what_the_page_does_not_need_is_not_there(site, path: str) -> None:
    address, _ = site
    for method in ("GET", "POST"):
        assert httpx.request(method, address + path).status_code == 404, method


NONSENSE = {
    "an unknown endpoint": ("/gradio_api/call/nothing", {"data": []}, 404),
    "one that runs at once": ("/gradio_api/run/nothing", {"data": []}, 404),
    "by its older name": ("/gradio_api/api/nothing", {"data": []}, 404),
    "by its newer name": ("/gradio_api/call/v2/nothing", {}, 404),
    "an event of the page by its name": ("/gradio_api/call/_start", {"data": []}, 404),
    "too few values": ("/gradio_api/call/start", {"data": ["example"]}, 422),
    "no values": ("/gradio_api/call/start", {"data": []}, 422),
    "no list": ("/gradio_api/call/start", {"data": 1}, 422),
    "no object": ("/gradio_api/call/start", [1], 422),
    "an unknown event": ("/gradio_api/queue/join", {"data": [], "fn_index": 99_999}, 422),
    "a negative event": ("/gradio_api/queue/join", {"data": [], "fn_index": -1}, 422),
    "a word for an event": ("/gradio_api/queue/join", {"data": [], "fn_index": "a"}, 422),
}


@pytest.mark.parametrize(("path", "body", "code"), NONSENSE.values(), ids=NONSENSE.keys())
def test_a_call_that_makes_no_sense_is_a_sentence(site, path, body, code, caplog, capfd) -> None:
    """And no traceback: an attacker would fill the disk with them."""
    answer = httpx.post(site[0] + path, json=body)
    assert answer.status_code == code and answer.text
    assert not caplog.records and "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("has_code", [True, False], ids=["an event", "one of the browser alone"])
def test_an_event_with_too_few_values_is_a_sentence(site, has_code: bool, caplog, capfd) -> None:
    config = httpx.get(f"{site[0]}/config").json()
    events = (d for d in config["dependencies"] if d["inputs"] and d["backend_fn"] == has_code)
    body = {"data": [], "fn_index": next(events)["id"]}
    answer = httpx.post(f"{site[0]}/gradio_api/run/progress", json=body)
    assert answer.status_code == 422 and answer.text
    assert not caplog.records and "Traceback" not in capfd.readouterr().err


def test_an_event_of_the_page_passes_by_its_number(site) -> None:
    """Those that do not wait in the queue are posted under any name."""
    config = httpx.get(f"{site[0]}/config").json()
    event = next(d for d in config["dependencies"] if d["queue"] is False)
    body = {"data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "x"}
    answer = httpx.post(f"{site[0]}/gradio_api/run/predict", json=body)
    assert answer.status_code != 404 and "no endpoint" not in answer.text


def test_what_gradio_trips_over_is_one_line(site, caplog, capfd) -> None:
    with contextlib.suppress(httpx.RemoteProtocolError):
        httpx.get(f"{site[0]}/gradio_api/call/start/no-such-event")
    assert len(caplog.records) <= 1 and "Traceback" not in capfd.readouterr().err


def test_whoever_watches_the_server_is_answered(site) -> None:
    answer = httpx.get(f"{site[0]}/healthz")
    assert answer.status_code == 200 and answer.text == "ok"


def test_run_history_is_off(site) -> None:
    """With it, a request with a forged Host made the server send its operator's token out."""
    config = httpx.get(f"{site[0]}/config").json()
    assert not config.get("run_history")
    assert "runs" not in (config.get("footer_links") or [])


@pytest.mark.parametrize("header", ["host", "x-forwarded-host"])
def test_a_forged_host_is_told_or_not_believed(site, header: str) -> None:
    answer = httpx.get(f"{site[0]}/config", headers={header: "evil.example:7860"})
    assert "evil.example" not in answer.text or answer.status_code == 400
    if header == "host":
        assert answer.status_code == 400 and "--allowed-hosts evil.example" in answer.text


@pytest.mark.parametrize("host", ["evil.com@1.2.3.4", "1.2.3.4/evil.com", "1.2.3.4#.evil"])
def test_what_only_looks_like_an_address_is_told(site, host: str) -> None:
    for header in ("host", "x-forwarded-host"):
        assert httpx.get(f"{site[0]}/config", headers={header: host}).status_code == 400


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"host": "192.0.2.1:443"}, "https://192.0.2.1"),
        ({"host": "LOCALHOST"}, "http://localhost"),
        ({"x-forwarded-host": "192.0.2.1, 10.1.2.3"}, "https://192.0.2.1"),
    ],
)
def test_a_page_behind_a_proxy_may_send(site, headers: dict, origin: str) -> None:
    answer = httpx.post(
        f"{site[0]}/gradio_api/upload",
        files={"files": ("a.png", b"x")},
        headers=headers | {"origin": origin},
    )
    assert answer.status_code == 200


def test_gradio_believes_no_header_about_where_it_lies(site) -> None:
    answer = httpx.get(f"{site[0]}/config", headers={"x-gradio-server": "http://evil.example"})
    assert answer.status_code == 200 and "evil.example" not in answer.text


def test_a_socket_with_a_forged_host_is_closed(site) -> None:
    address, sessions = site
    token, port = sessions.open("a").tokens.view, address.rpartition(":")[2]
    with pytest.raises(WebSocketException), sockets.connect(
        f"ws://evil.example:{port}/viser/{token}", proxy=None, sock=_to(port)
    ) as socket:  # fmt: skip
        socket.recv(timeout=5)


def _to(port: str):
    import socket

    return socket.create_connection(("127.0.0.1", int(port)))


@pytest.mark.parametrize("host", ["192.168.7.9", "192.168.7.9:7860", "[fe80::1]:7860", "localhost"])
def test_a_phone_in_the_same_network_is_welcome(site, host: str) -> None:
    assert httpx.get(f"{site[0]}/config", headers={"host": host}).status_code == 200


def test_pages_of_strangers_read_nothing(site) -> None:
    headers = {"origin": "https://evil.example"}
    for path in ("/config", "/gradio_api/info", "/"):
        answer = httpx.get(site[0] + path, headers=headers)
        assert "access-control-allow-origin" not in answer.headers, path
    asked = headers | {"access-control-request-method": "POST"}
    answer = httpx.options(f"{site[0]}/gradio_api/queue/join", headers=asked)
    assert "access-control-allow-origin" not in answer.headers


def test_pages_of_strangers_send_nothing(site) -> None:
    """A form of another site needs no permission to read: its request is refused."""
    for path in ("/gradio_api/upload", "/gradio_api/queue/join"):
        forged = httpx.post(
            site[0] + path,
            files={"files": ("a.png", b"x")},
            headers={"origin": "https://evil.example"},
        )
        own = httpx.post(
            site[0] + path, files={"files": ("a.png", b"x")}, headers={"origin": site[0]}
        )
        assert forged.status_code == 403 and own.status_code != 403, path


def test_the_page_itself_is_open(site) -> None:
    for path in ("/", "/config", "/gradio_api/info", "/theme.css"):
        assert httpx.get(site[0] + path).status_code == 200, path


def test_nothing_is_remembered_of_a_script_that_was_answered(site) -> None:
    """Gradio keeps a quarter of a megabyte of everybody who ever called."""
    address, _ = site
    names = {f"script {number}" for number in range(5)}
    for name in names:
        body = {"data": ["nobody"], "session_hash": name}
        assert "error" in httpx.post(f"{address}/gradio_api/run/progress", json=body).json()
    holders = [each for each in gc.get_objects() if type(each) is StateHolder]
    assert holders
    assert not any(names & holder.session_data.keys() for holder in holders)
