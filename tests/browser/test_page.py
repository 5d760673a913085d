"""The page as a visitor meets it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route

from svggt.files import ASSETS
from tests.browser.conftest import DESKTOP, PHONE, Site, drawn, only_session
from tests.conftest import wait_for
from tests.media.files import write_video


@pytest.fixture(autouse=True)
def nobody_left_over(site: Site):
    wait_for(lambda: not len(site.sessions) and not site.sessions.worker.num_streams)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_first_look_is_never_empty(arrive, size) -> None:
    """A recorded replay plays; 3D and Start are in sight without scrolling."""
    visitor = arrive(size)
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.03)
    canvas = visitor.page.frame_locator("iframe.viewer").locator("canvas[data-engine]")
    pixels = canvas.evaluate("canvas => canvas.width / canvas.clientWidth")
    assert abs(pixels - 0.5) < 0.01  # this browser has no GPU
    view = visitor.viewer().bounding_box()
    start = visitor.page.locator("#start").bounding_box()
    assert view["height"] >= 0.599 * size[1]
    assert view["y"] + view["height"] <= size[1] and view["width"] > 0.6 * size[0]
    assert start["y"] + start["height"] <= size[1]
    assert "embedded" in visitor.page.inner_text("#header")
    assert "Recorded replay" in visitor.page.inner_text("#why")
    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0]  # one column, nothing to the side
    assert len(visitor.site.sessions) == 0  # looking costs no session


def test_a_poster_lies_over_the_view_until_it_has_points(arrive) -> None:
    """And says what is waited for, also in a new run's view."""
    visitor, held = arrive(), list[Route]()
    page = visitor.page
    recording = re.compile(r"^[^?]*\.viser$")
    page.route(recording, lambda route: held.append(route))
    page.reload()
    poster = page.frame_locator("iframe.viewer").locator("#poster")
    poster.get_by_text("Loading the 3D scene").wait_for()
    page.wait_for_timeout(3000)
    assert held and poster.is_visible()  # the client is there, and waits for its recording
    behind = poster.locator("div").evaluate("each => getComputedStyle(each).backgroundImage")
    assert "/replay/office.jpg" in behind
    assert page.request.get(f"{visitor.site.address}/replay/office.jpg").ok
    held[0].continue_()
    poster.wait_for(state="detached")
    page.unroute(recording)
    page.wait_for_function("document.querySelector('#start').disabled === false")
    visitor.run(3)
    poster.wait_for(state="detached")
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.05)


def test_a_browser_that_draws_no_3d_is_told_so_and_runs_all_the_same(arrive) -> None:
    visitor = arrive()
    visitor.page.add_init_script("""
        const context = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind.startsWith("webgl") ? null : context.call(this, kind, ...rest);
        };
    """)
    visitor.page.reload()
    poster = visitor.page.frame_locator("iframe.viewer").locator("#poster")
    poster.get_by_text("WebGL is off").wait_for()
    visitor.run(3)
    visitor.page.wait_for_timeout(2000)
    poster.get_by_text("WebGL is off").wait_for()
    assert "Finished" in visitor.status()
    visitor.errors[:] = [error for error in visitor.errors if "WebGL" not in error]  # viser's


@pytest.mark.parametrize("kind", ["pictures", "video"])
def test_what_a_tall_picture_loses_is_shown_and_it_can_be_kept_whole(
    arrive, site: Site, tmp_path: Path, kind: str
) -> None:
    visitor = arrive()
    page = visitor.page
    assert not page.is_visible("#whole")  # examples are wide
    noise = np.random.default_rng(0).integers(0, 255, (16, 9, 3), np.uint8)
    tall = [np.asarray(Image.fromarray(noise).resize((360, 640))) for _ in range(3)]
    if kind == "video":
        files = [write_video(tmp_path / "tall.mp4", 3, size=(360, 640))]
    else:
        files = [tmp_path / f"{number}.png" for number in range(3)]
        for path, pixels in zip(files, tall, strict=True):
            Image.fromarray(pixels).save(path)
    visitor.upload(*files)
    page.wait_for_selector("#cut figcaption:visible")
    assert "360 × 640: 22 % of its height is cut off above" in page.inner_text("#cut")
    cut = visitor.pixels(page.locator("#cut canvas"))
    page.get_by_label("Keep tall pictures whole").check()
    assert "kept whole" in page.inner_text("#cut")
    whole = visitor.pixels(page.locator("#cut canvas"))
    edge, middle = slice(5, 30), slice(60, 100)
    assert np.abs(cut[edge].astype(int) - whole[edge]).mean() > 8  # shaded
    assert np.abs(cut[middle].astype(int) - whole[middle]).mean() < 3
    page.wait_for_timeout(500)  # Gradio takes the choice
    visitor.start()
    page.wait_for_selector("text=Finished: ")
    image = only_session(site).recording.frames.load(0).image
    assert image.shape == (224, 126, 3)
    if kind == "pictures":
        page.click("#files button[aria-label=Clear]")
        page.wait_for_selector("#cut figure", state="hidden")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_scene_grows_while_frames_are_computed(arrive, site: Site, size) -> None:
    visitor = arrive(size)
    visitor.start(light=False)
    visitor.wait_frames(1)
    session = only_session(site)
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.03)
    assert session.running and session.progress.frames_done < 110
    visitor.wait_frames(10)
    assert visitor.page.locator(".live > .strip img").count() == 3 + 6  # as remembered
    visitor.page.click("#stop")
    visitor.page.wait_for_function("document.querySelector('#start').disabled === false")
    assert "Stopped after" in visitor.status()
    visitor.wait_still()
    with_points = drawn(visitor.canvas())
    for bands in session.scene._points.layers:
        bands.show(False)
    # What was seen were points, not only a frustum.
    visitor.wait_canvas(lambda pixels: drawn(pixels) < 0.7 * with_points)
    session.scene.seek(None)  # they are shown again
    visitor.page.reload()
    visitor.page.wait_for_selector("#start")
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.03)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_run_remembers_otherwise_from_a_frame_on(arrive, site: Site, size) -> None:
    """By the keyboard too: what is remembered, the switch in the plot, and a budget too small."""
    visitor = arrive(size)
    page = visitor.page
    page.get_by_text("Advanced", exact=True).click()
    page.click("#change")
    page.wait_for_selector("#changed >> text=before its Start")
    visitor.start()
    visitor.wait_frames(12)
    page.get_by_label("Memory", exact=True).click()
    page.get_by_role("option", name="diversity").click()
    page.get_by_label("Budget").fill("3 frames")
    page.locator("#change").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#changed >> text=/From frame \\d+ on: diversity, 3 frames/")
    page.wait_for_selector(".plot line", state="attached")
    page.wait_for_selector(".memory >> text=/in part/")
    page.get_by_label("Budget").fill("1 frame")
    page.click("#change")
    page.wait_for_selector("#changed [role=alert] >> text=choose 2 frames or more")
    session = only_session(site)
    session.stop()
    ((number, how),) = session.progress.memory_changes
    assert number >= 12 and how == "diversity, 3 frames"
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0]


def test_cameras_flip_without_sending_points(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.start(light=False)
    visitor.wait_frames(15)
    session = only_session(site)
    session.stop()
    visitor.page.wait_for_function("document.querySelector('#start').disabled === false")
    assert "refined by tracking" in visitor.page.inner_text("#why")
    assert "Tracking: tracked" in visitor.page.inner_text(".tracking")
    visitor.wait_still()
    recorder = session.scene.recorder()
    before = sum(buffer.nbytes for buffer in recorder._binary_buffers)
    refined = visitor.canvas().astype(int)
    visitor.page.click("#choices label:has-text('head')")
    visitor.wait_canvas(lambda pixels: bool(np.abs(refined - pixels).mean() > 1))
    assert "do not line up" in visitor.page.inner_text("#why")
    head = visitor.canvas().astype(int)
    visitor.page.click("#choices label:has-text('refined')")
    visitor.wait_canvas(lambda pixels: bool(np.abs(head - pixels).mean() > 1))
    sent = sum(buffer.nbytes for buffer in recorder._binary_buffers) - before
    assert sent < 20_000  # poses and the trajectory; the points are megabytes
    recorder.serialize()


def test_visers_panel_is_hidden(arrive) -> None:
    for size in (DESKTOP, PHONE):
        visitor = arrive(size)
        visitor.start()
        visitor.wait_frames(2)
        frame = visitor.page.frame_locator("iframe.viewer")
        assert frame.get_by_text("Reset View").count() == 0 or not (
            frame.get_by_text("Reset View").first.is_visible()
        )
        visitor.page.click("#stop")


def test_two_visitors_see_only_their_own_scenes(arrive, site: Site) -> None:
    one, two = arrive(), arrive()
    one.start()
    one.wait_frames(3)
    assert two.page.inner_text(".figures").count("–") == 3  # nothing began there
    two.page.click("#examples button >> nth=1")
    two.page.wait_for_timeout(500)
    two.start()
    two.wait_frames(3)
    first, second = (v.viewer().get_attribute("src") for v in (one, two))
    assert first != second and first.startswith("/viser/") and second.startswith("/viser/")
    for session in site.sessions.in_memory:
        session.stop()
    for visitor in (one, two):  # the walk's newest frame is a small thing in the distance
        visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.004)
    sessions = list(site.sessions.in_memory)
    assert sorted(s.progress.total for s in sessions) == [45, 120]  # highway and office
    before = drawn(two.canvas())
    highway = next(s for s in sessions if s.progress.total == 45)
    highway.scene.reset(max_frames=1)
    two.wait_canvas(lambda pixels: drawn(pixels) < 0.3 * before)
    assert drawn(one.canvas()) > 0.004  # emptying one leaves the other


def test_a_run_goes_on_when_its_tab_is_closed(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.start()
    visitor.wait_frames(2)
    session = only_session(site)
    visitor.close_tab()
    done = session.progress.frames_done
    wait_for(lambda: session.progress.frames_done > done + 2)


def test_a_session_that_ends_under_an_open_page_says_so(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.start()
    visitor.wait_frames(2)
    site.sessions.close(only_session(site).token)
    visitor.page.wait_for_selector("text=This scene has left memory")
    assert visitor.page.is_enabled("#start") and not visitor.page.is_enabled("#stop")
    visitor.start()
    visitor.wait_frames(1)


def test_a_first_upload_that_is_bad_leaves_no_session(arrive, site: Site, tmp_path: Path) -> None:
    visitor = arrive()
    (tmp_path / "x.jpg").write_bytes(b"this is no picture")
    visitor.upload(tmp_path / "x.jpg")
    visitor.start()
    visitor.page.wait_for_selector(".status.failed")
    assert len(site.sessions) == 0
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.03)  # the replay is still there


def test_clear_empties_the_view(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.start()
    visitor.wait_frames(3)
    visitor.wait_canvas(lambda pixels: drawn(pixels) > 0.03)
    visitor.page.click("#clear")
    visitor.page.wait_for_selector("text=Cleared.")
    view = visitor.viewer().get_attribute("src") or ""
    assert view.startswith("/replay/") and not site.sessions.in_memory
    # What was chosen for the last scene does not follow into the next one.
    assert visitor.page.get_by_label("all frames").is_checked()


def test_a_bad_upload_gets_a_sentence_and_loses_nothing(arrive, site: Site, tmp_path: Path) -> None:
    visitor = arrive()
    visitor.start()
    visitor.wait_frames(4)
    visitor.page.click("#stop")
    visitor.page.wait_for_function("document.querySelector('#start').disabled === false")
    frames = only_session(site).scene.num_frames
    bad = tmp_path / "holiday.jpg"
    bad.write_bytes(b"this is no picture")
    visitor.upload(bad)
    visitor.start()
    visitor.page.wait_for_selector(".status.failed")
    visitor.page.wait_for_timeout(1000)
    assert "JPEG, PNG, WebP, HEIC, AVIF, TIFF or GIF" in visitor.status()  # and stays
    assert only_session(site).scene.num_frames == frames
    assert visitor.page.is_enabled("#start")


def test_an_upload_that_is_cut_off_is_told_and_goes_again(arrive, site: Site) -> None:
    visitor = arrive()
    page, video = visitor.page, str(ASSETS / "clips/office.mp4")
    page.get_by_role("tab", name="Upload").click()
    page.route("**/upload*", lambda route: route.abort("connectionreset"))
    page.set_input_files("#files input[type=file]", video)
    page.wait_for_selector("text=The upload was cut off. Choose the file again.")
    page.unroute("**/upload*")
    cut = ("ERR_CONNECTION_RESET", "Failed to fetch")  # as the browser and Gradio say it
    assert all(any(way in error for way in cut) for error in visitor.errors), visitor.errors
    visitor.errors.clear()
    visitor.upload(ASSETS / "clips/office.mp4")
    page.wait_for_selector("text=The upload was cut off", state="hidden")
    visitor.start()
    visitor.wait_frames(2)
    page.click("#stop")


def test_pictures_and_a_zip_of_them_can_be_uploaded(arrive, site: Site, tmp_path: Path) -> None:
    visitor = arrive(PHONE)
    rng = np.random.default_rng(0)
    for number in range(3):
        noise = rng.integers(0, 255, (12, 16, 3), np.uint8)
        picture = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
        picture.save(tmp_path / f"p{number}.jpg")
    with zipfile.ZipFile(tmp_path / "rest.zip", "w") as archive:
        archive.write(tmp_path / "p2.jpg", "walk/p2.jpg")
    visitor.upload(tmp_path / "p0.jpg", tmp_path / "p1.jpg", tmp_path / "rest.zip")
    visitor.start()
    visitor.page.wait_for_selector("text=Finished: 3 frames.")
    assert only_session(site).progress.frames_done == 3


def test_a_video_can_be_uploaded_and_cancelled(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.upload(ASSETS / "clips/office.mp4")
    names = visitor.page.evaluate(
        "[...document.querySelectorAll('[title], [aria-label]')].map(e => e.title || e.ariaLabel)"
    )
    keys = [name for name in names if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)]
    assert keys == [] and "Upload" in names  # in words, not as a translator's key
    visitor.start()
    visitor.wait_frames(2)
    assert only_session(site).progress.total is None  # frames are chosen by motion
    visitor.page.click("#stop")
    visitor.page.wait_for_selector("text=Stopped after")


def test_start_works_by_keyboard(arrive, site: Site) -> None:
    visitor = arrive()
    visitor.page.locator("#examples button").nth(2).focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_timeout(500)
    for _ in range(4):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("document.activeElement.id") == "start":
            break
    visitor.page.keyboard.press("Enter")
    visitor.wait_frames(1)
    assert only_session(site).progress.total == 20  # the alley: 1.33 s at 15 a second


def test_a_replay_stands_still_for_who_wants_no_motion(arrive) -> None:
    """At its end, where all of the scene is; Play is there."""
    page = arrive().page
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    replay = page.frame_locator("iframe.viewer")
    replay.locator("button:has(.tabler-icon-player-play-filled)").wait_for()
    time_of = "thumb => [thumb.ariaValueNow, thumb.ariaValueMax].map(Number)"
    thumb = replay.locator("[role=slider]")

    def at_its_end() -> bool:
        now, end = thumb.evaluate(time_of)
        return now > 0.9 * end > 0

    wait_for(at_its_end, every=0.2)
    page.wait_for_timeout(1000)
    assert at_its_end()
    replay.locator("button:has(.tabler-icon-player-play-filled)").click()
    wait_for(lambda: not at_its_end(), every=0.2)
