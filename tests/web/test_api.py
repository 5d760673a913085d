"""Named endpoints, called as a script would: by gradio_client."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from svggt.session.registry import Sessions
from tests.media.files import write_pictures

ENDPOINTS = {
    "describe", "start", "resume", "change_memory", "stop", "clear", "delete", "progress",
    "follow", "frame", "picture", "look", "seek", "look_through", "reset_view", "measure",
    "set_length", "track", "compare", "comparison", "cancel_comparison", "paint", "compared_frame",
    "both_views", "export", "revoke",
}  # fmt: skip


@pytest.fixture
def run(client: Client, tmp_path: Path) -> dict:
    """A finished run of five pictures."""
    files = [handle_file(str(path)) for path in write_pictures(tmp_path / "clip", 5)]
    opened = client.predict(source="upload", files=files, api_name="/start")
    *_, last = client.submit(token=opened["token"], api_name="/follow")
    assert last["state"] == "finished" and last["frames_done"] == 5, last
    return opened


def test_every_action_is_an_endpoint_with_types(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name.removeprefix("/") for name in endpoints} == ENDPOINTS
    for name, facts in endpoints.items():
        assert facts["description"], name
        for parameter in facts["parameters"]:
            assert parameter["python_type"]["type"] != "Any", (name, parameter)


def test_a_script_describes_runs_and_follows(client: Client, site) -> None:
    said = client.predict(api_name="/describe")
    assert said["models"] == {"tiny": "a test fixture"} and "office" in said["examples"]
    opened = client.predict(source="example", max_frames=6, api_name="/start")
    seen = list(client.submit(token=opened["token"], api_name="/follow"))
    done = [each["frames_done"] for each in seen]
    assert done == sorted(done) and done[-1] == 6 and len(seen[-1]["milliseconds"]) == 6
    by_reader = client.predict(token=opened["reader_token"], api_name="/progress")
    assert by_reader == seen[-1]


def test_frames_can_be_read(client: Client, run: dict) -> None:
    frame = client.predict(token=run["reader_token"], number=3, api_name="/frame")
    assert np.shape(frame["head"]["world_from_cam"]) == (3, 4) and frame["time_s"] == 3.0
    assert frame["refined"]["status"] in ("tracked", "weak", "recovered", "lost")
    for what in ("RGB", "depth", "confidence"):
        address = client.predict(run["token"], 3, what, api_name="/picture")
        picture = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
        assert picture.format == "PNG" and picture.width == 640
    with pytest.raises(AppError, match="no such frame"):
        client.predict(token=run["token"], number=99, api_name="/frame")


def test_the_view_is_driven(client: Client, run: dict, site) -> None:
    (session,) = site[1].in_memory
    client.predict(run["token"], show="one frame", confirmed=9, api_name="/look")
    assert session.scene.flags.show == "one frame" and session.scene.flags.confirmed == 3
    assert client.predict(run["token"], 2, api_name="/seek") == 2
    assert session.scene.moment == 2
    assert client.predict(run["token"], None, api_name="/seek") == 4
    client.predict(run["token"], 1, api_name="/look_through")
    client.predict(run["token"], api_name="/reset_view")
    with pytest.raises(AppError, match="no such frame"):
        client.predict(run["token"], 99, api_name="/seek")


def test_points_are_measured_and_followed(client: Client, run: dict) -> None:
    first = client.predict(run["token"], 0, 20, 20, api_name="/measure")
    assert len(first["marks"]) == 1 and first["distance"] is None
    second = client.predict(run["token"], 0, 60, 20, api_name="/measure")
    expected = np.linalg.norm(np.subtract(*second["marks"]))
    assert second["distance"] == pytest.approx(expected) and expected > 0
    known = client.predict(run["token"], 3.0, api_name="/set_length")
    assert known["unit_metres"] == pytest.approx(3 / expected)
    with pytest.raises(AppError, match="more than 0"):
        client.predict(run["token"], -1.0, api_name="/set_length")
    assert client.predict(run["token"], 0.0, api_name="/set_length")["unit_metres"] is None
    track = client.predict(run["token"], 1, 40, 30, api_name="/track")
    assert track["first"] == 1 and np.shape(track["pixels"]) == (4, 2)


def test_a_comparison_is_begun_and_read(client: Client, run: dict, site) -> None:
    with pytest.raises(AppError, match="no comparison"):
        client.predict(run["token"], api_name="/comparison")
    found = client.predict(run["token"], api_name="/compare")
    while found["state"] == "running":
        found = client.predict(run["token"], api_name="/comparison")
    assert found["state"] == "finished" and found["outcome"]["agreement"]["frames"] == 5
    (session,) = site[1].in_memory
    client.predict(run["token"], 2, api_name="/seek")
    assert session.comparison.scene.moment == 2
    client.predict(run["token"], "overlay", api_name="/paint")
    assert session.comparison.paint == "overlay"
    both = client.predict(run["token"], 2, api_name="/compared_frame")
    assert set(both) == {
        "RGB", "Depth A", "Depth B", "Difference", "Confidence A", "Confidence B"
    }  # fmt: skip
    view = client.predict(run["token"], api_name="/both_views")
    assert all(each.startswith("data:image/png;base64,") for each in (*both.values(), view))
    client.predict(run["token"], api_name="/cancel_comparison")


def test_a_comparison_is_of_any_two_ways(client: Client, run: dict) -> None:
    found = client.predict(
        run["token"], mode="streaming", memory="full", cameras="head", frames=3, api_name="/compare"
    )
    while found["state"] == "running":
        found = client.predict(run["token"], api_name="/comparison")
    b = found["outcome"]["b"]
    assert b["way"]["mode"] == "streaming" and b["way"]["settings"]["memory"] == "full"
    assert [each["frames"] for each in b["latencies"]] == [1, 2, 3]
    with pytest.raises(AppError, match="no model"):
        client.predict(run["token"], model="../weights.pt", api_name="/compare")
    with pytest.raises(AppError, match="0 or more"):
        client.predict(run["token"], every=-1, api_name="/compare")
    with pytest.raises(AppError, match="mode"):
        client.predict(run["token"], mode="neither", api_name="/compare")


def test_a_report_opens_by_the_read_only_link(client: Client, run: dict, site) -> None:
    address = f"{site[0]}/report/{run['reader_token']}/"
    assert httpx.get(address).status_code == 404
    client.predict(run["token"], api_name="/compare")
    while client.predict(run["token"], api_name="/comparison")["state"] == "running":
        pass
    page = httpx.get(address, timeout=60)
    assert page.status_code == 200 and "streaming, tiny" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name, kind in (("latency.csv", "text/csv"), ("views.mp4", "video/mp4")):
        answer = httpx.get(address + name)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
    assert httpx.get(address + "../../run.json").status_code == 404
    assert httpx.get(address + "%2e%2e/run.json").status_code == 404
    assert httpx.get(f"{site[0]}/report/{run['token']}/").status_code == 404


def test_files_are_exported_and_fetched(client: Client, run: dict, site, tmp_path: Path) -> None:
    made = client.predict(run["reader_token"], "ply", "head", api_name="/export")
    answer = httpx.get(site[0] + made["address"])
    assert answer.status_code == 200 and len(answer.content) == made["bytes"]
    assert f'filename="{made["name"]}"' in answer.headers["content-disposition"]
    (tmp_path / "scene.ply").write_bytes(answer.content)
    assert isinstance(trimesh.load(tmp_path / "scene.ply"), trimesh.PointCloud)


def test_a_run_is_stopped_gone_on_with_and_cleared(client: Client) -> None:
    opened = client.predict(source="example", api_name="/start")
    token = opened["token"]
    for progress in client.submit(token=token, api_name="/follow"):
        if progress["frames_done"] >= 3:
            break
    client.predict(token, api_name="/stop")
    *_, stopped = client.submit(token=token, api_name="/follow")  # its cameras are adjusted
    assert stopped["state"] == "stopped" and stopped["can_resume"]
    assert client.predict(token, api_name="/resume")["token"] == token
    for progress in client.submit(token=token, api_name="/follow"):
        if progress["frames_done"] > stopped["frames_done"]:
            break
    client.predict(token, api_name="/clear")  # it has left memory, and comes back by its token
    kept = client.predict(token, api_name="/progress")
    assert kept["state"] == "stopped" and kept["frames_done"] > stopped["frames_done"]
    client.predict(token, api_name="/delete")
    with pytest.raises(AppError, match=r"no such session|has expired"):
        client.predict(token, api_name="/progress")


def test_a_run_remembers_otherwise(client: Client) -> None:
    opened = client.predict(source="example", max_frames=20, api_name="/start")
    token = opened["token"]
    for said in client.submit(token=token, api_name="/follow"):
        if said["frames_done"] >= 3:
            break
    with pytest.raises(AppError, match="write '9 frames'"):
        client.predict(token=token, budget="plenty", api_name="/change_memory")
    client.predict(token=token, memory="diversity", budget="3 frames", api_name="/change_memory")
    *_, last = client.submit(token=token, api_name="/follow")
    ((number, how),) = last["memory_changes"]
    assert 3 <= number < 20 and how == "diversity, 3 frames"
    kept = [frame for frame, _ in last["memory"]["frames"]]
    assert kept[0] == 0 and kept[-1] == last["frames_done"] - 1
    with pytest.raises(AppError, match="before its Start"):
        client.predict(token=token, memory="full", api_name="/change_memory")


def test_a_camera_is_waited_for(client: Client, site) -> None:
    opened = client.predict(source="camera", api_name="/start")
    assert "camera" in client.predict(opened["token"], api_name="/progress")["message"]
    assert httpx.get(site[0] + opened["capture"]).status_code == 200
    assert httpx.get(site[0] + opened["viewer"]).status_code == 200
    client.predict(opened["token"], api_name="/stop")


def test_a_reader_drives_nothing(client: Client, run: dict) -> None:
    for name in ("stop", "clear", "resume", "revoke", "look", "reset_view"):
        with pytest.raises(AppError, match=r"no such session|has expired"):
            client.predict(run["reader_token"], api_name=f"/{name}")


def test_a_revoked_token_reads_nothing(client: Client, run: dict, site) -> None:
    made = client.predict(run["reader_token"], "tum", api_name="/export")
    renewed = client.predict(run["token"], api_name="/revoke")
    assert renewed["reader_token"] != run["reader_token"] and renewed["token"] == run["token"]
    with pytest.raises(AppError, match="no such session"):
        client.predict(run["reader_token"], api_name="/progress")
    assert httpx.get(site[0] + made["address"]).status_code == 404
    assert client.predict(renewed["reader_token"], api_name="/progress")["frames_done"] == 5


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"source": "example", "example": "moon"}, "no example moon"),
        ({"source": "upload"}, "No file was chosen"),
        ({"source": "upload", "files": [{"path": "/etc/passwd"}]}, "no longer here"),
        ({"source": "example", "model": "huge"}, "not loaded"),
        ({"source": "example", "cameras": "Refined"}, "cameras"),
        ({"source": "example", "memory": "Full"}, "memory"),
        ({"source": "upload", "files": ["x"]}, "files"),
    ],
)
def test_what_cannot_begin_is_told(client: Client, site, wanted: dict, sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**wanted, api_name="/start")
    assert len(site[1]) == 0


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("frame", {"number": "../../other/frames/000000"}),
        ("picture", {"number": 0, "what": "secrets"}),
        ("seek", {"number": "zero"}),
        ("look", {"cameras": "Refined"}),
        ("export", {"format": "exe"}),
        ("measure", {"number": 0, "u": "left", "v": 0}),
    ],
)
def test_what_is_of_another_type_is_told(client: Client, run: dict, name, wanted) -> None:
    argument = next(reversed(wanted)) if name != "measure" else "u"
    with pytest.raises(AppError, match=argument):
        client.predict(run["token"], **wanted, api_name=f"/{name}")
    assert client.predict(run["token"], 2, api_name="/seek") == 2  # all is as it was


def test_a_session_that_left_memory_comes_back(client: Client, run: dict, site) -> None:
    sessions: Sessions = site[1]
    sessions.close(run["token"])
    assert len(sessions) == 0
    assert client.predict(run["reader_token"], api_name="/progress")["frames_done"] == 5
    assert len(sessions) == 1
