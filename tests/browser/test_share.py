"""A scene is come back to, shared, looked on at, and taken away."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from playwright.sync_api import Browser

from svggt.engine.checkpoints import LoadedModel
from svggt.engine.local_worker import LocalWorker
from svggt.engine.model_registry import ModelRegistry
from tests.browser.conftest import DESKTOP, PHONE, Site, Visitor, drawn, only_session
from tests.conftest import PATIENCE, serve, wait_for


def address_of(visitor: Visitor) -> str:
    return visitor.page.evaluate("location.href")


def view_of(visitor: Visitor) -> str:
    source = visitor.viewer().get_attribute("src")
    assert source is not None
    return source


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_reload_resumes_a_finished_scene(arrive, site: Site, size) -> None:
    visitor = arrive(size)
    visitor.run(8)
    before = view_of(visitor)
    session = only_session(site)
    assert address_of(visitor) == f"{site.address}/?s={session.tokens.reader}"
    assert session.tokens.owner not in address_of(visitor)
    visitor.page.reload()
    visitor.page.wait_for_selector("text=Finished: 8 frames")
    assert view_of(visitor) == before and visitor.page.is_enabled("#clear")
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.03)
    assert visitor.page.is_visible("#choices") and only_session(site) is session


def test_a_reload_resumes_a_running_scene(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.start()
    visitor.wait_frames(3)
    visitor.page.reload()
    visitor.wait_frames(only_session(site).progress.frames_done + 2)
    visitor.page.click("#stop")
    visitor.page.wait_for_selector("text=Stopped after")
    stopped = only_session(site).progress.frames_done
    only_session(site).recording.clear_snapshots()  # else nothing is rebuilt
    visitor.page.click("#resume")
    visitor.page.wait_for_selector("text=Rebuilding the memory")
    visitor.wait_frames(stopped + 1)
    visitor.page.click("#stop")
    visitor.page.wait_for_selector("text=Stopped after")
    assert only_session(site).scene.num_frames > stopped


def test_a_reader_follows_and_replays_without_the_owners_view(arrive, site: Site) -> None:
    owner = arrive()
    owner.start()
    owner.wait_frames(2)
    reader = arrive(PHONE, address_of(owner))
    tokens = only_session(site).tokens
    reader.page.wait_for_selector("text=Read-only")
    assert view_of(reader) == f"/viser/{tokens.reader}/"
    assert view_of(owner) == f"/viser/{tokens.view}/"
    for hidden in ("#start", "#stop", "#clear", "#choices", "#timeline", "#advanced"):
        assert not reader.page.is_visible(hidden)
    assert tokens.owner not in reader.page.content()
    reader.wait_canvas(lambda pixels: drawn(pixels) > 0.01)
    owner.page.click("#stop")
    reader.page.wait_for_selector("text=Stopped after")
    assert view_of(reader).startswith(f"/shared/{tokens.reader}/")
    reader.wait_canvas(lambda pixels: drawn(pixels) > 0.01)


def test_a_revoked_link_is_told(arrive, site: Site) -> None:
    owner = arrive()
    owner.run(3)
    old = address_of(owner)
    owner.page.click("#share > button")
    owner.page.click("text=Revoke the link")
    owner.page.wait_for_selector("#revoke:has-text('Press again')")
    owner.page.wait_for_timeout(1000)
    assert address_of(owner) == old  # it asks first
    owner.page.click("#revoke")
    owner.page.wait_for_function("old => location.href != old", arg=old)
    assert address_of(owner) == f"{site.address}/?s={only_session(site).tokens.reader}"
    reader = arrive(DESKTOP, old)
    reader.page.wait_for_selector("text=has expired")
    reader.page.wait_for_selector("iframe.viewer[src^='/replay/']")
    reader.close_tab()
    owner.page.reload()
    owner.page.wait_for_selector("text=Finished: 3 frames")
    assert owner.page.is_visible("#choices")
    again = arrive(DESKTOP, f"{old}#owner={only_session(site).token}")  # the own link is still good
    again.page.wait_for_selector("text=Finished: 3 frames")
    assert again.page.is_visible("#choices")


def test_the_own_link_drives_it_from_another_device(arrive, site: Site) -> None:
    owner = arrive()
    owner.run(3)
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owner.page.click("#share > button")
    owner.page.click("text=Copy my own link")
    owner.page.wait_for_selector("#copy-owner:has-text('Copied')")
    own = owner.page.evaluate("navigator.clipboard.readText()")
    other = arrive(DESKTOP, own)
    other.page.wait_for_selector("text=Finished: 3 frames")
    assert other.page.is_visible("#choices") and "owner" not in address_of(other)
    other.page.click("#clear")
    other.page.wait_for_selector("text=Cleared.")
    assert not site.sessions.in_memory and "s=" not in address_of(other)
    again = arrive(DESKTOP, own)  # it is kept until it expires
    again.page.wait_for_selector("text=Finished: 3 frames")


def middle(pixels: np.ndarray) -> np.ndarray:
    """Of a view, small: windows of other shapes show as much of it."""
    height, width = pixels.shape[:2]
    left = (width - height) // 2
    square = Image.fromarray(pixels[:, left : left + height])
    return np.asarray(square.resize((48, 48)), float)


def test_a_link_shows_that_moment_from_that_view(arrive, site: Site) -> None:
    """In the replay of whoever is sent it; in its owner's timeline that moment."""
    owner = arrive()
    owner.run(6)
    owner.wait_still()
    overview = middle(owner.canvas())
    owner.page.keyboard.press("c")  # a view that no replay begins with
    owner.wait_still()
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    moment = owner.page.locator("#moment input[type=number]")
    moment.fill("4")
    moment.press("Enter")
    owner.wait_still()
    seen = middle(owner.canvas())
    owner.page.click("#share > button")
    owner.page.click("text=Copy a link to this view")
    owner.page.wait_for_selector("#copy-view:has-text('Copied')")
    link = owner.page.evaluate("navigator.clipboard.readText()")
    session, (moment_of, _, eye) = only_session(site), link.rpartition("&eye=")
    assert moment_of == f"{site.address}/?s={session.tokens.reader}&at=4"
    assert len(eye.split(",")) == 10
    reader = arrive(DESKTOP, link)
    replay = reader.page.frame_locator("iframe.viewer[src^='/shared/']")
    thumb = replay.locator("[role=slider]")

    def is_there() -> bool:
        return 0.3 < float(thumb.get_attribute("aria-valuenow") or 0) < 0.41

    wait_for(is_there, every=0.2)
    reader.page.wait_for_timeout(1500)
    assert is_there()  # it stands
    replayed = middle(reader.canvas())
    assert np.abs(replayed - seen).mean() < 0.4 * np.abs(overview - seen).mean()
    owner.page.goto(link)
    owner.page.wait_for_function(
        "document.querySelector('#moment input[type=number]')?.value === '4'"
    )
    owner.page.click("#start")  # another scene is no moment of this one
    owner.page.wait_for_function("link => !location.href.includes('at=')", arg=link)


def test_a_reader_stays_with_the_scene_it_was_sent(arrive, site: Site) -> None:
    """Its owner's next scene has other links, and nobody is led into it."""
    owner = arrive()
    owner.run(3)
    sent = address_of(owner)
    reader = arrive(PHONE, sent)
    reader.page.wait_for_selector("text=Finished: 3 frames")
    shown = view_of(reader)
    owner.page.click("#start")
    owner.page.wait_for_function("old => location.href != old", arg=sent)
    owner.page.wait_for_selector("text=Finished: 3 frames")
    (new,) = site.sessions.in_memory
    assert view_of(owner) == f"/viser/{new.tokens.view}/"
    assert view_of(reader) == shown and new.tokens.reader not in reader.page.content()
    late = arrive(DESKTOP, sent)
    late.page.wait_for_selector("text=Finished: 3 frames")
    fetched = late.page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")
    assert fetched and not any("/replay/" in address for address in fetched)  # no example first
    assert view_of(late) == shown
    late.wait_canvas(lambda pixels: drawn(pixels) > 0.01)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_delete_means_it_once_it_was_meant(arrive, site: Site, size) -> None:
    owner = arrive(size)
    owner.run(3)
    sent, folder = address_of(owner), only_session(site).recording.folder
    owner.page.click("#share > button")
    owner.page.click("#delete")
    owner.page.wait_for_selector("text=Press again to delete")
    owner.page.wait_for_selector("text=Delete this scene and its clip now")  # it was not meant
    assert folder.exists() and "Finished" in owner.status()
    owner.page.click("#delete")
    owner.page.wait_for_timeout(500)
    owner.page.click("#delete")
    owner.page.wait_for_selector("text=Deleted: scene, clip and links are no more.")
    assert not folder.exists() and view_of(owner).startswith("/replay/")
    late = arrive(size, sent)
    late.page.wait_for_selector("text=has expired")


def test_a_file_is_prepared_and_taken_away(arrive, site: Site, tmp_path: Path) -> None:
    visitor = arrive()
    visitor.run(8)
    visitor.page.click("#share > button")
    assert "Kept until" in visitor.page.inner_text("#kept")
    assert "24 hours" in visitor.page.inner_text("#retention")
    visitor.page.click("text=Prepare the file")
    with visitor.page.expect_download() as download:
        visitor.page.click("#export a")
    assert download.value.suggested_filename == "scene-refined-8-frames.glb"
    download.value.save_as(tmp_path / "scene.glb")
    assert len(trimesh.load(tmp_path / "scene.glb").geometry) == 2  # pyright: ignore


def test_a_page_by_itself_plays_the_scene(arrive, browser: Browser, site: Site) -> None:
    visitor = arrive()
    visitor.run(8)
    session = only_session(site)
    visitor.page.click("#share > button")
    visitor.page.click("#format input")
    visitor.page.click("text=Replay, a page by itself")
    visitor.page.click("text=Prepare the file")
    visitor.page.wait_for_selector("#export a")
    (path,) = session.recording.exports.glob("*.html")
    alone = Visitor(browser.new_page(), visitor.context, site)
    alone.page.context.set_offline(True)
    alone.page.goto(path.as_uri())
    view = alone.page.locator("canvas[data-engine]")
    view.wait_for()
    assert alone.page.title() == "svggt: office, 8 frames"
    assert not alone.page.is_visible(".mantine-Notifications-root")
    wait_for(lambda: drawn(alone.pixels(view)) > 0.03, every=0.5)
    assert view.evaluate("canvas => canvas.width / innerWidth") < 0.6  # there is no GPU here
    alone.page.close()


def test_scenes_are_there_after_a_restart(
    arrive, embedded: LoadedModel, tmp_path: Path, browser: Browser
) -> None:
    """The owner's link opens it on another server with the same folder; it goes on there."""
    worker = LocalWorker(ModelRegistry([embedded]))
    with serve(worker, folder=tmp_path) as (address, _):
        visitor = arrive(DESKTOP, address)
        visitor.start()
        visitor.wait_frames(3)
        visitor.page.close()
    facts = json.loads(next(tmp_path.glob("*/tokens.json")).read_text())
    about = next(tmp_path.glob("*/run.json"))
    about.write_text(about.read_text().replace('"stopped"', '"running"'))  # as if it was killed
    with serve(worker, folder=tmp_path) as (address, sessions):
        again = arrive(DESKTOP, f"{address}/?s={facts['reader']}#owner={facts['owner']}")
        again.page.wait_for_selector("text=Interrupted after")
        again.wait_canvas(lambda pixels: drawn(pixels) > 0.01)
        done = sessions.in_memory[0].progress.frames_done
        again.page.click("#resume")
        again.wait_frames(done + 1)
        again.page.click("#stop")
        again.page.wait_for_selector("text=Stopped after")
        again.page.close()
    worker.shutdown()


_SPACE = """<script>
window.said = [];
window.postMessage = (...words) => said.push(words);
</script><iframe src="/" width="1200" height="700"></iframe>"""


def test_in_a_space_the_address_reaches_the_page_around(browser: Browser, site: Site) -> None:
    """The hub's page frames the Space's own, and takes a query by postMessage."""
    page, around = browser.new_page(), f"{site.address}/around"
    page.route(around, lambda route: route.fulfill(body=_SPACE, content_type="text/html"))
    page.goto(around)
    inside = page.frame_locator("iframe")
    inside.locator("#start:not([disabled])").wait_for(timeout=1000 * PATIENCE)
    inside.locator("#start").click()
    page.wait_for_function("said.some(([message]) => message.queryString)", timeout=1000 * PATIENCE)
    session = only_session(site)
    told = page.evaluate("said.find(([message]) => message.queryString)")
    query = {"queryString": f"s={session.tokens.reader}", "hash": ""}
    assert told == [query, "https://huggingface.co"]
    page.close()
    site.sessions.remove(session.token)


def test_a_browser_lists_its_scenes(arrive, site: Site) -> None:
    owner = arrive()
    owner.page.click("#scenes > button")
    owner.page.wait_for_selector("#mine >> text=None yet.")
    owner.run(3)
    owner.page.wait_for_selector("#mine li img")
    owner.page.wait_for_function("document.querySelector('#mine img').naturalWidth > 1")
    owner.page.get_by_label("Name of the scene").fill("<b>my desk</b>")
    owner.page.get_by_label("Note of the scene").fill("too dark")
    owner.page.keyboard.press("Tab")
    owner.visit(f"{site.address}/")
    owner.page.click("#scenes > button")
    owner.page.wait_for_selector("#mine li img")
    assert owner.page.get_by_label("Name of the scene").input_value() == "<b>my desk</b>"
    owner.page.click("#mine a")
    owner.page.wait_for_selector("text=Finished: 3 frames")
    assert owner.page.is_visible("#choices")
    owner.page.click("#scenes > button")
    owner.page.click("#mine >> text=Forget")
    owner.page.wait_for_selector("#mine >> text=None yet.")


def test_a_picture_of_the_view_is_twice_its_size(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.run(3)
    shots = [visitor.canvas()]

    def stands() -> bool:
        shots.append(visitor.canvas())
        return drawn(shots[-1]) > 0.05 and np.abs(np.subtract(*shots[-2:], dtype=int)).mean() < 1

    wait_for(stands, every=2)
    canvas = shots[-1]
    with visitor.page.expect_download(timeout=1000 * PATIENCE) as waited:
        visitor.page.click("#shot")
    pixels = np.asarray(Image.open(waited.value.path()).convert("RGB"))
    assert (
        np.abs(np.subtract(pixels.shape[:2], np.multiply(2, canvas.shape[:2]))).max() <= 4
    )  # a canvas has whole pixels
    assert abs(drawn(pixels) - drawn(canvas)) < 0.1 * drawn(canvas) + 0.01


def test_a_page_of_another_site_frames_the_scene_and_nothing_else(
    arrive, site: Site, tmp_path: Path
) -> None:
    owner = arrive()
    owner.run(3)
    owner.page.click("#share > button")
    owner.page.click("#embedding summary")
    owner.page.wait_for_selector("#embedding .code svg")
    snippet = owner.page.inner_text("#embedding pre")
    shared = f'<iframe src="{site.address}{view_of(owner)}"></iframe>'
    (tmp_path / "index.html").write_text(f"<!doctype html>{snippet}{shared}")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever).start()
        try:
            guest = owner.context.new_page()
            guest.goto(f"http://localhost:{elsewhere.server_port}/")
            canvas = guest.frame_locator("iframe >> nth=0").locator("canvas[data-engine]")
            canvas.wait_for(timeout=1000 * PATIENCE)
            wait_for(lambda: drawn(owner.pixels(canvas)) > 0.01, every=0.5)
            assert not guest.frame_locator("iframe >> nth=1").locator("canvas").count()
            inner = guest.frames[1]  # with the address that the client has left it
            assert "darkMode" in inner.url and owner.page.request.get(inner.url).ok
        finally:
            elsewhere.shutdown()


def test_two_tabs_of_one_owner_agree(arrive, site: Site) -> None:
    """What one does the other shows, at once while a run is followed, else when it is looked at."""
    one = arrive()
    one.start()
    one.page.wait_for_function("location.search.includes('s=')")
    other = one.context.new_page()
    other.goto(address_of(one))
    other.wait_for_selector("#stop:not([disabled])")
    other.click("#stop")
    for page in (one.page, other):
        page.wait_for_selector("#resume", state="visible")
    session = only_session(site)
    stopped = session.progress.frames_done
    one.page.click("#resume")
    one.page.wait_for_selector("#stop:not([disabled])")
    other.click("#resume")  # which follows: the run is under way
    other.wait_for_selector("#stop:not([disabled])")
    wait_for(lambda: session.progress.frames_done > stopped)
    one.page.click("#stop")
    for page in (one.page, other):
        page.wait_for_selector("#resume", state="visible")
    one.page.click("#resume")
    one.page.wait_for_selector("#stop:not([disabled])")
    looked_at = "document.dispatchEvent(new Event('visibilitychange'))"
    other.evaluate(looked_at)
    other.wait_for_selector("#stop:not([disabled])")
    other.click("#stop")
    one.page.wait_for_selector("#resume", state="visible")
    kept = len(session.recording.frames)
    one.page.click("#clear")
    one.page.wait_for_selector("text=Cleared.")
    other.evaluate(looked_at)  # it is there from disk
    other.wait_for_function("document.querySelector('#resume')?.offsetParent")
    wait_for(lambda: len(site.sessions.in_memory) == 1)
    assert only_session(site) is not session
    assert len(only_session(site).recording.frames) == kept
    other.close()
