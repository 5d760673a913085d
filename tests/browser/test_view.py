"""Timeline, flags, looking through cameras and measuring, as a visitor uses them."""

from __future__ import annotations

import numpy as np
import pytest
from viser import transforms

from svggt.scene.camera_view import CameraView
from svggt.scene.frustums import LENGTH
from svggt.scene.overview import Overview
from svggt.scene.scene import Scene
from tests.browser.conftest import DESKTOP, PHONE, Site, Visitor, drawn, only_session, scenery
from tests.conftest import wait_for


@pytest.fixture
def finished(arrive, site: Site):
    """A visitor with a scene of 24 frames, the oldest of which are merged."""

    def bring(size=DESKTOP) -> Visitor:
        visitor = arrive(size)
        visitor.run(24)
        visitor.page.wait_for_function("!document.querySelector('#moment input').disabled")
        visitor.wait_still()
        return visitor

    return bring


def go_to(visitor: Visitor, number: int) -> None:
    box = visitor.page.locator("#moment input[type=number]")
    box.fill(str(number))
    box.press("Enter")


def is_overview(scene: Scene) -> bool:
    """Whether the browser of a scene says that it looks from there."""
    (client,) = scene._server.get_clients().values()
    whole = Overview.of(scene._placings, scene.flags.cameras, scene.levelling)
    return CameraView.of(client.camera).like(whole.seen_by(client.camera.aspect))


def wait_overview(scene: Scene) -> None:
    """Waits until it is; else says where the browser is, and what it was told."""

    def said() -> str:
        cameras = scene.eye
        (client,) = scene._server.get_clients().values()
        guided = cameras._guided._browsers.get(client.client_id)
        target = cameras._whole and cameras._whole(client.camera.aspect)
        return f"at {CameraView.of(client.camera)}, not at {target}; {guided}"

    wait_for(lambda: is_overview(scene), said)


def test_any_moment_can_be_looked_at(finished, site: Site) -> None:
    visitor = finished()
    scene = only_session(site).scene
    whole = visitor.canvas().astype(int)
    visitor.page.click("#choices label:has-text('one frame')")
    go_to(visitor, 3)
    visitor.wait_canvas(lambda pixels: np.abs(pixels - whole).mean() > 2)
    assert scene.moment == 2 and scene._points.part.bands.visible  # merged long ago, read from disk
    assert drawn(visitor.canvas()) > 0.002
    visitor.page.locator("#moment input[type=range]").focus()
    visitor.page.keyboard.press("ArrowRight")  # without a mouse
    visitor.page.wait_for_timeout(1000)
    assert scene.moment == 3


def test_the_timeline_plays_and_ends(finished, site: Site) -> None:
    visitor = finished(PHONE)
    scene = only_session(site).scene
    visitor.page.click("#play")
    visitor.page.wait_for_selector("#play:has-text('Pause')")
    seen = set()

    def has_ended() -> bool:
        seen.add(scene.moment)
        return visitor.page.inner_text("#play") == "Play"

    wait_for(has_ended, every=0.1)
    assert len(seen) >= 5 and scene.moment == 23
    assert visitor.page.input_value("#moment input[type=number]") == "24"


def test_a_pause_is_heard_however_soon_it_comes(finished, site: Site) -> None:
    visitor = finished()
    scene = only_session(site).scene
    for _ in range(3):
        visitor.page.dblclick("#play")
        visitor.page.wait_for_timeout(1500)
        assert visitor.page.inner_text("#play") == "Play"
        moment = scene.moment
        visitor.page.wait_for_timeout(500)
        assert scene.moment == moment


def test_flags_flip_without_sending_points(finished, site: Site) -> None:
    visitor = finished()
    scene = only_session(site).scene
    visitor.page.get_by_text("View", exact=True).click()
    recorder = scene.recorder()
    before = sum(buffer.nbytes for buffer in recorder._binary_buffers)
    before_it = visitor.canvas().astype(int)
    slider = visitor.page.get_by_label("number input for Points confirmed by n other views")
    slider.fill("0")  # also what others contradict
    slider.press("Enter")
    visitor.wait_canvas(lambda p: (np.abs(p - before_it).max(axis=2) > 20).mean() > 0.01)
    for part in ("trajectory", "frustums", "far points"):
        visitor.page.get_by_label(part).click()
    visitor.page.wait_for_timeout(1000)
    look = scene.flags
    assert (look.confirmed, look.trajectory, look.frustums, look.far) == (0, False, False, False)
    assert sum(buffer.nbytes for buffer in recorder._binary_buffers) - before < 30_000
    recorder.serialize()


def test_surfels_close_the_gaps_of_points_and_points_come_back(finished, site: Site) -> None:
    visitor = finished(PHONE)  # where they are narrow
    scene = only_session(site).scene
    wait_overview(scene)
    visitor.wait_still()
    points = visitor.canvas()
    visitor.page.get_by_text("View", exact=True).click()
    visitor.page.get_by_label("surfels").click()
    wait_for(lambda: scene.flags.draw_as == "surfels")
    visitor.wait_canvas(lambda pixels: _roughness(pixels) < 0.9 * _roughness(points))
    visitor.wait_still()
    assert drawn(visitor.canvas()) > 0.8 * drawn(points)
    visitor.page.evaluate("document.querySelector('iframe.viewer').contentWindow.location.reload()")
    poster = visitor.page.frame_locator("iframe.viewer").locator("#poster")
    poster.wait_for()
    poster.wait_for(state="detached", timeout=25_000)  # at 30 s it would give up waiting
    visitor.wait_canvas(lambda pixels: _roughness(pixels) < 0.9 * _roughness(points))
    visitor.page.get_by_label("points", exact=True).click()
    visitor.wait_canvas(lambda pixels: np.abs(pixels - points.astype(int)).mean() < 4)


def test_surfels_are_seen_from_far(finished, site: Site) -> None:
    """Narrower than a pixel each, which viser leaves out."""
    visitor = finished()
    (client,) = only_session(site).scene._server.get_clients().values()
    towards = client.camera.look_at - client.camera.position
    client.camera.position = client.camera.position - 4 * towards
    visitor.wait_still()
    points = drawn(visitor.canvas())
    visitor.page.get_by_text("View", exact=True).click()
    visitor.page.get_by_label("surfels").click()
    wait_for(lambda: not any(each.visible for each in only_session(site).scene._points.layers))
    visitor.wait_still()
    assert drawn(visitor.canvas()) > 0.7 * points > 0


def _roughness(pixels: np.ndarray) -> float:
    """How much neighbouring pixels differ where something is drawn."""
    step = np.abs(np.diff(pixels.astype(int), axis=1)).mean(axis=2)
    return float(step[scenery(pixels)[:, 1:]].mean())


def test_one_looks_through_a_camera_and_back(finished, site: Site) -> None:
    visitor = finished()
    scene = only_session(site).scene
    wait_overview(scene)
    first = visitor.canvas().astype(int)
    go_to(visitor, 24)
    visitor.page.click("#through")
    visitor.wait_canvas(lambda pixels: np.abs(pixels - first).mean() > 5)
    (client,) = scene._server.get_clients().values()
    pose = scene._placings[23].pose("refined")
    expected = scene._horizon.levelling @ pose[:, 3]
    assert np.allclose(client.camera.position, expected, atol=0.02 * scene._distance)
    visitor.wait_still()
    inside = visitor.canvas().astype(int)
    visitor.page.click("#reset")
    visitor.wait_canvas(lambda pixels: np.abs(pixels - inside).mean() > 5)
    wait_overview(scene)
    visitor.wait_canvas(lambda pixels: np.abs(pixels - first).mean() < 4)


def test_a_scene_ends_in_its_overview_and_a_moved_view_stays(finished, site: Site) -> None:
    visitor = finished()
    scene = only_session(site).scene
    wait_overview(scene)
    box = visitor.page.locator("#views iframe").first.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.move(*middle)
    visitor.page.mouse.down()
    visitor.page.mouse.move(middle[0] + 90, middle[1] + 30, steps=4)
    visitor.page.mouse.up()
    wait_for(lambda: not is_overview(scene))
    scene.settle()  # as at the end of a run: who looks at something is left there
    visitor.page.wait_for_timeout(1500)
    assert not is_overview(scene)
    visitor.page.click("#reset")
    wait_overview(scene)
    assert visitor.errors == []


def test_two_clicks_measure_and_a_known_length_scales(finished, site: Site) -> None:
    visitor = finished()
    page = visitor.page
    page.get_by_text("Look closer and measure").click()
    picture = page.locator("#picture img")
    picture.wait_for()
    picture.click(position={"x": 60, "y": 60})
    page.wait_for_selector("#measured:has-text('other end')")
    scene, archive = only_session(site).scene, only_session(site).recording.frames
    shown, width = archive.load(23), picture.bounding_box()["width"]
    pixel = int(60 / width * shown.image.shape[1])
    expected = scene._placings[23].point_at(shown, pixel, pixel, "refined")
    assert np.allclose(scene.marks.points[0], expected, atol=0.03 * scene._distance)
    picture.click(position={"x": 160, "y": 110})
    page.wait_for_selector("#measured:has-text('own unit')")
    page.get_by_label("Known length").fill("2")
    page.wait_for_selector("#measured:has-text('2 m')")
    distance = np.linalg.norm(np.subtract(*scene.marks.points))
    assert only_session(site).recording.metres["refined"] == pytest.approx(2 / distance)
    picture.click(position={"x": 60, "y": 60})
    picture.click(position={"x": 110, "y": 85})
    page.wait_for_selector("#measured b:has-text(' m')")
    assert not page.locator("#clicks").is_visible()  # the embedded weights have no track head
    page.locator("#what label:has-text('depth')").click()
    page.wait_for_timeout(1000)
    assert visitor.errors == []


def test_a_frustum_is_clicked_to_look_through_it(finished, site: Site) -> None:
    visitor = finished()
    scene = only_session(site).scene
    (client,) = scene._server.get_clients().values()
    pose = scene._placings[0].pose("refined")
    scene.eye.begin(pose, scene._distance)  # from behind it, where none hides another
    visitor.page.wait_for_timeout(2000)
    plane = pose[:, 3] + LENGTH * scene._distance * pose[:, 2]  # where its picture is
    seen = transforms.SO3(client.camera.wxyz).inverse() @ (
        scene._horizon.levelling @ plane - client.camera.position
    )
    box = visitor.page.frame_locator("iframe.viewer").locator("canvas[data-engine]").bounding_box()
    assert box is not None
    focal = box["height"] / 2 / np.tan(client.camera.fov / 2)
    x = box["x"] + box["width"] / 2 + focal * seen[0] / seen[2]
    y = box["y"] + box["height"] / 2 + focal * seen[1] / seen[2]
    visitor.page.mouse.move(x, y)
    visitor.page.wait_for_timeout(500)
    visitor.page.mouse.click(x, y)
    expected = scene._horizon.levelling @ pose[:, 3]
    wait_for(lambda: np.allclose(client.camera.position, expected, atol=0.02 * scene._distance))
