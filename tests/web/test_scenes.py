"""Each scene has keys of its own: who was sent one sees that one, until it expires."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from svggt.session.registry import Sessions
from svggt.store.store import Tokens
from tests.media.files import write_pictures


def scene(client: Client, token: str | None = None, frames: int = 3, **source) -> dict:
    """A finished run, begun on a page that shows the scene of a token."""
    source = source or {"source": "example"}
    opened = client.predict(**source, token=token, max_frames=frames, api_name="/start")
    *_, last = client.submit(token=opened["token"], api_name="/follow")
    assert last["state"] == "finished" and last["frames_done"] == frames
    return opened


def tokens_of(sessions: Sessions, opened: dict) -> Tokens:
    session = sessions.find(opened["token"])
    assert session is not None
    return session.tokens


def test_each_scene_has_keys_of_its_own(client: Client, site) -> None:
    _, sessions = site
    first = scene(client)
    old = tokens_of(sessions, first)
    new = tokens_of(sessions, scene(client, token=first["token"]))
    for field in fields(Tokens):
        assert getattr(old, field.name) != getattr(new, field.name), field.name


def test_the_old_link_shows_the_old_scene(client: Client, site) -> None:
    """Its progress, replay and exports are what they were, also after Clear."""
    address, _ = site
    first = scene(client, frames=2)
    reader = first["reader_token"]
    made = client.predict(reader, "tum", "head", api_name="/export")

    def seen() -> tuple:
        return (
            client.predict(reader, api_name="/progress")["frames_done"],
            httpx.get(f"{address}{made['address']}").content,
            len(httpx.get(f"{address}/shared/{reader}.viser").content),
        )

    before = seen()
    second = scene(client, token=first["token"], frames=4)
    assert seen() == before and before[0] == 2
    client.predict(second["token"], api_name="/clear")
    assert seen() == before
    assert client.predict(second["reader_token"], api_name="/progress")["frames_done"] == 4


def test_a_refused_start_leaves_the_old_scene(client: Client, site, tmp_path: Path) -> None:
    _, sessions = site
    first = scene(client)
    (tmp_path / "a.txt").write_text("no picture")
    with pytest.raises(AppError, match="neither a video nor a picture"):
        client.predict(
            source="upload",
            files=[handle_file(str(tmp_path / "a.txt"))],
            token=first["token"],
            api_name="/start",
        )
    session = sessions.get(first["token"])
    assert session is not None and session.progress.frames_done == 3
    assert len(sessions) == 1 and len(sessions.store.tokens()) == 1


def test_starting_again_needs_no_second_place(client: Client, site) -> None:
    """A visitor with as many scenes as there may be can begin the next one."""
    _, sessions = site
    most = sessions.limits.max_per_address
    opened = [scene(client, frames=1) for _ in range(most)]
    held = [sessions.get(each["token"]) for each in opened]
    for session in held:  # somebody looks at each: none may leave for another
        assert session is not None
        session._board.progress = session.progress.__class__(state="running")
    last = held[-1]
    assert last is not None
    last._board.progress = last.progress.__class__(state="finished", latest=None)
    scene(client, token=opened[-1]["token"], frames=1)
    assert len(sessions) == most
    for session in held:
        assert session is not None
        session._board.progress = session.progress.__class__(state="finished")


def test_deleting_leaves_no_byte(client: Client, site, tmp_path: Path) -> None:
    """Scene, clip, the files that were sent, and every link."""
    address, sessions = site
    pictures = write_pictures(tmp_path / "clip", 2)
    sent = [handle_file(str(path)) for path in pictures]
    opened = scene(client, source="upload", files=sent, frames=2)
    recording = sessions.recording(opened["token"], "owner")
    assert recording is not None and recording.about is not None
    uploads = recording.about.sent
    assert len(uploads) == 2 and all(path.is_file() for path in uploads)
    keys = tokens_of(sessions, opened)
    client.predict(opened["token"], api_name="/delete")
    assert not recording.folder.exists() and not any(path.exists() for path in uploads)
    for path in (
        f"/viser/{keys.view}/",
        f"/viser/{keys.reader}/",
        f"/shared/{keys.reader}.viser",
        f"/export/{keys.reader}/tum/head",
        f"/capture/{keys.capture}/",
    ):
        assert httpx.get(address + path).status_code == 404, path
    with pytest.raises(AppError):
        client.predict(opened["token"], api_name="/progress")


def test_deleting_an_example_leaves_the_example(client: Client, site) -> None:
    _, sessions = site
    opened = scene(client)
    recording = sessions.recording(opened["token"], "owner")
    assert recording is not None and recording.about is not None
    (example,) = recording.about.sent
    client.predict(opened["token"], api_name="/delete")
    assert example.is_file()


def test_a_reader_deletes_nothing(client: Client, site) -> None:
    opened = scene(client)
    with pytest.raises(AppError, match="nothing to delete"):
        client.predict(opened["reader_token"], api_name="/delete")
    assert client.predict(opened["token"], api_name="/progress")["state"] == "finished"


def test_a_capture_link_sends_nothing_into_the_next_scene(client: Client, site) -> None:
    address, _ = site
    waiting = client.predict(source="camera", api_name="/start")
    client.predict(waiting["token"], api_name="/stop")
    again = client.predict(source="camera", token=waiting["token"], api_name="/start")
    assert waiting["capture"] != again["capture"]
    time.sleep(0.1)
    assert httpx.get(address + again["capture"]).status_code == 200
    client.predict(again["token"], api_name="/stop")
