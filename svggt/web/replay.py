"""Recorded scenes: the page opens on one, and read-only viewers have one when a run has ended.

A replay is a `.viser` file that viser's own client plays; it needs no session and no device.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse

from svggt.exports.replay import DRAWING_KEYS, FRAMES_PER_SECOND, HIDE_NOTICES
from svggt.web.proxy import viewer_page

_BYTES = "application/octet-stream"
_EYE_KEYS = tuple(f"initialCamera{part}" for part in ("Position", "LookAt", "Up", "Fov"))
_CLIENTS_OWN = {*DRAWING_KEYS, *_EYE_KEYS}  # what it has in its address beside the recording
# A link may name where to look from, and a frame, at which it stands still; so it does, at the
# last one, for whoever wants no motion.
_BEGINS = """<script>
const link = (() => {
  try {
    const query = new URLSearchParams(parent.location.search);
    return query.get("s") ? query : new URLSearchParams();
  } catch { return new URLSearchParams(); }  // a page of another site, which embeds this one
})();
const asked = Number(link.get("at")), eye = (link.get("eye") ?? "").split(",").map(Number);
if (eye.length === 10 && eye.every(Number.isFinite)) {
  const address = new URL(location);
  const parts = [eye.slice(0, 3), eye.slice(3, 6), eye.slice(6, 9), eye.slice(9)];
  EYE_KEYS.forEach((key, i) => address.searchParams.set(key, parts[i].join()));
  history.replaceState(null, "", address);
}
if (asked > 0 || matchMedia("(prefers-reduced-motion: reduce)").matches) {
  new MutationObserver((_, observer) => {
    const pause = document.querySelector("button:has(.tabler-icon-player-pause-filled)");
    const thumb = document.querySelector("[role=slider]");
    const time = document.querySelector("[inputmode=decimal]");
    const end = Math.floor(10 * Number(thumb?.ariaValueMax) - 0.01) / 10;
    if (!pause || !time || !(end > 0)) return;
    observer.disconnect();
    pause.click();
    const wanted = asked > 0 ? Math.min((asked - 0.5) / FRAMES_PER_SECOND, end) : end;
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
    let tries = 0;
    const going = setInterval(() => {  // it is not heard before the client has drawn once
      set.call(time, String(wanted));
      time.dispatchEvent(new Event("input", { bubbles: true }));
      if (++tries > 20 || Math.abs(Number(thumb.ariaValueNow) - wanted) < 0.1) clearInterval(going);
    }, 200);
  }).observe(document, { childList: true, subtree: true });
}
</script>""".replace("FRAMES_PER_SECOND", str(FRAMES_PER_SECOND)).replace(
    "EYE_KEYS", json.dumps(_EYE_KEYS)
)


def replay_address(name: str) -> str:
    """The page that plays a replay, as a path of this site."""
    return f"/replay/{name}/?playbackPath=/replay/{name}.viser"


def shared_address(reader_token: str) -> str:
    """The page that plays a session to read-only viewers, as a path of this site."""
    return f"/shared/{reader_token}/?playbackPath=/shared/{reader_token}.viser"


def embedded_address(reader_token: str) -> str:
    """The same for a page of another site, the only one that any may frame."""
    return f"/embed/{reader_token}/?playbackPath=/shared/{reader_token}.viser"


def report_address(reader_token: str) -> str:
    """The page of a comparison's report, as a path of this site."""
    return f"/report/{reader_token}/"


def replay_routes(
    replays: Mapping[str, Path],
    posters: Mapping[str, Path],
    shared: Callable[[str], Awaitable[Path]],
) -> APIRouter:
    """`/replay/{name}/`, `/shared/{token}/` and `/embed/{token}/` play recordings, nothing else.

    Args:
        replays: the examples' recordings by name.
        posters: pictures that are seen until they play; see `poster.js`.
        shared: the recording that a reader's token opens, made unless it is there; 404 for
            unknown, expired and revoked.
    """
    router = APIRouter()

    def played(request: Request, address: str, anywhere: bool = False) -> Response:
        # The client fetches what the query says: only the one address that we made passes, and
        # what the client writes beside it, for a reload.
        path, _, recording = address.partition("?playbackPath=")
        query = request.query_params.multi_items()
        asked = [item for item in query if item[0] not in _CLIENTS_OWN]
        if request.url.path != path or asked != [("playbackPath", recording)]:
            raise HTTPException(404)
        return viewer_page(HIDE_NOTICES + _BEGINS, anywhere)

    @router.get("/replay/{name}/")
    async def page(name: str, request: Request) -> Response:
        if name not in replays:
            raise HTTPException(404)
        return played(request, replay_address(name))

    @router.get("/replay/{name}.viser")
    async def recording(name: str) -> FileResponse:
        if name not in replays:
            raise HTTPException(404)
        return FileResponse(replays[name], media_type=_BYTES)

    @router.get("/replay/{name}.jpg")
    async def poster(name: str) -> FileResponse:
        if name not in posters:
            raise HTTPException(404)
        return FileResponse(posters[name])

    @router.get("/shared/{token}/")
    async def shared_page(token: str, request: Request) -> Response:
        return played(request, shared_address(token))

    @router.get("/embed/{token}/")
    async def embedded_page(token: str, request: Request) -> Response:
        return played(request, embedded_address(token), anywhere=True)

    @router.get("/shared/{token}.viser")
    async def shared_recording(token: str) -> FileResponse:
        return FileResponse(await shared(token), media_type=_BYTES)

    return router
