"""The port answers at once: that the page is being loaded, then the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from svggt.web.loading import LoadingSite
from tests.conftest import wait_for


@contextmanager
def serving(loading: LoadingSite) -> Iterator[tuple[uvicorn.Server, str]]:
    server = uvicorn.Server(uvicorn.Config(loading, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_it_says_what_is_loading_and_when_to_ask_again() -> None:
    gate, lived = threading.Event(), []

    @asynccontextmanager
    async def lifespan(site: FastAPI):
        lived.append("begun")
        yield
        lived.append("ended")

    def build() -> FastAPI:
        gate.wait(20)
        site = FastAPI(lifespan=lifespan)
        site.add_api_route("/healthz", lambda: "ok")
        return site

    loading = LoadingSite(build)
    with serving(loading) as (_, address):
        for path in ("/", "/healthz", "/gradio_api/call/start"):
            answer = httpx.get(address + path)
            assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
            assert "being loaded" in answer.text
        gate.set()
        wait_for(lambda: httpx.get(f"{address}/healthz").status_code == 200)
        assert lived == ["begun"]
    assert lived == ["begun", "ended"] and loading.error is None


def test_a_server_ends_while_it_is_loading() -> None:
    gate = threading.Event()

    def build() -> FastAPI:
        gate.wait(20)
        return FastAPI()

    with serving(LoadingSite(build)) as (_, address):
        assert httpx.get(address).status_code == 503
    gate.set()


def test_what_fails_is_known_to_whoever_started_it() -> None:
    told = threading.Event()

    def build() -> FastAPI:
        raise ValueError("no such weights: pass --model PATH")

    loading = LoadingSite(build, told.set)
    with serving(loading):
        assert told.wait(20)
    with pytest.raises(ValueError, match="--model PATH"):
        raise loading.error or AssertionError
