"""Recorded scenes: the page opens on one, so that the first look is never empty.

A replay is a `.viser` file that viser's own client plays; it needs no session and no device.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse

from svggt.checkpoints import ASSETS
from svggt.web.proxy import HIDE_NOTICES, viewer_page

REPLAYS = ASSETS / "replays"


def replay_file(name: str) -> Path:
    """Where the replay of an example lies."""
    return REPLAYS / f"{name}.viser"


def replay_address(name: str) -> str:
    """The page that plays a replay, as a path of this site."""
    return f"/replay/{name}/?playbackPath=/replay/{name}.viser"


def replay_routes(names: frozenset[str]) -> APIRouter:
    """`/replay/{name}/` plays a recording of this list, and nothing else."""
    router = APIRouter()

    @router.get("/replay/{name}/")
    async def page(name: str, request: Request) -> Response:
        # The client fetches what the query says: only the one address that we made passes.
        asked = f"{request.url.path}?{request.url.query}"
        if name not in names or asked != replay_address(name):
            raise HTTPException(404)
        return viewer_page(HIDE_NOTICES)

    @router.get("/replay/{name}.viser")
    async def recording(name: str) -> FileResponse:
        if name not in names:
            raise HTTPException(404)
        return FileResponse(replay_file(name), media_type="application/octet-stream")

    return router
