"""The examples run as they stand, and every link of the documents leads somewhere."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svggt.engine.local_worker import LocalWorker
from svggt.eval.smoke import office_frames, office_truth
from svggt.files import ASSETS
from tests.conftest import serve

ROOT = ASSETS.parent
ALLEY = str(ASSETS / "clips" / "alley.mp4")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Runs an example with arguments, and returns the lines that it prints."""

    def run(name: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def test_a_script_drives_the_page(worker: LocalWorker, example) -> None:
    with serve(worker) as (address, _):
        *_, last, export = example("api_client.py", ALLEY, address)
    assert "Finished" in last and export.startswith("/export/")


def test_a_stream_needs_no_page(example) -> None:
    numbers = [line.split()[0] for line in example("stream_clip.py", ALLEY)]
    assert numbers == ["0", "1", "2", "3", "4"]


def test_a_folder_with_poses_is_evaluated(example, tmp_path: Path) -> None:
    truth, poses = office_truth(), np.tile(np.eye(4), (4, 1, 1))
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    for number, frame in enumerate(office_frames(224)[:4]):
        Image.fromarray(frame.image).save(tmp_path / f"images/{number:03}.png")
        depth = np.full(frame.image.shape[:2], 2000, np.uint16)
        Image.fromarray(depth).save(tmp_path / f"depth/{number:03}.png")
    poses[:, :3] = truth.world_from_cam[:4]
    np.savetxt(tmp_path / "poses.txt", poses.reshape(4, 16))
    lines = example("evaluate_folder.py", str(tmp_path))
    assert re.fullmatch(r"all rotation [\d.]+ ATE [\d.]+", lines[-1])


def test_a_step_of_training(example) -> None:
    assert "'loss'" in example("train_step.py")[-1]


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")):
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text("utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
