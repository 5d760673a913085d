"""The README's examples run as they stand, but for address and clip."""

from __future__ import annotations

import pytest

from svggt.checkpoints import ASSETS
from svggt.workers import LocalWorker
from tests.conftest import serve

README = (ASSETS.parent / "README.md").read_text("utf-8")


def run_block(with_word: str, address: str = "") -> None:
    (block,) = (b for b in README.split("```")[1::2] if b.startswith("python") and with_word in b)
    code = block.removeprefix("python\n").replace("http://127.0.0.1:7860", address)
    code = code.replace("my_clip.mp4", str(ASSETS / "clips" / "alley.mp4"))
    exec(compile(code, "README.md", "exec"), {})


def test_a_script_drives_the_page(worker: LocalWorker, capsys: pytest.CaptureFixture) -> None:
    with serve(worker) as (address, _):
        run_block("gradio_client", address)
    *_, last, export = capsys.readouterr().out.splitlines()
    assert "Finished" in last and export.startswith("/export/")


def test_a_stream_needs_no_page(capsys: pytest.CaptureFixture) -> None:
    run_block("Stream(")
    numbers = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert numbers == ["0", "1", "2", "3", "4"]
