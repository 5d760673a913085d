"""Where uploads lie, and what keeps them from reaching further.

Gradio trusts a path that the browser names more than this page does: here a file must have been
uploaded to this page, and nothing is ever fetched from an address.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import gradio as gr

from svggt.errors import BadInput

_MAX_AGE = 3600.0  # seconds that an upload waits for a Start


class UploadFolder:
    """The folder of Gradio's uploads, with a quota.

    Args:
        folder: holds uploads and nothing else.
        quota_bytes: of all uploads together.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self._folder = folder.resolve()
        self._quota = quota_bytes

    @classmethod
    def of_gradio(cls, quota_bytes: int) -> UploadFolder:
        """The folder that the environment tells Gradio (GRADIO_TEMP_DIR)."""
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, quota_bytes)

    def has_room(self) -> bool:
        """Whether another upload may begin; removes what is old, aborted uploads too."""
        oldest, total = time.time() - _MAX_AGE, 0
        for path in self._folder.rglob("*"):
            try:
                facts = path.stat()
                if path.is_dir():
                    continue
                if facts.st_mtime < oldest:
                    path.unlink()
                else:
                    total += facts.st_size
            except FileNotFoundError:  # another request or a closing session was faster
                continue
        return total < self._quota

    def check(self, name: str) -> Path:
        """The file of an upload.

        Raises:
            BadInput: it lies elsewhere, or is gone.
        """
        path = Path(name).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise BadInput("The uploaded file is no longer here. Choose it again, then Start.")
        path.touch()  # a run may need it as long as an upload waits
        return path

    def discard(self, paths: Iterable[Path], began: float) -> None:
        """Deletes files that were sent to this page; others are left alone.

        Args:
            paths: of the files.
            began: when the run began that took them, seconds since 1970: a file that was sent or
                taken again since (Gradio keeps one of the same content) is somebody's still.
        """
        for path in paths:
            ours = path.resolve().is_relative_to(self._folder) and path.is_file()
            if ours and path.stat().st_mtime <= began:
                path.unlink(missing_ok=True)


def take_as_uploaded(field: gr.File) -> gr.File:
    """Makes a file field take uploads as they are: nothing is copied, moved or fetched.

    Gradio's own would copy whatever path, and download whatever address, a browser names. Its
    methods are replaced on the field, since a subclass makes Gradio write files beside ours.
    """

    def unread(url_or_file_path: str | Path | None) -> str | None:
        path = url_or_file_path
        return None if path is None else str(path)  # looked at by `UploadFolder.check`

    async def unread_async(url_or_file_path: str | Path | None) -> str | None:
        return unread(url_or_file_path)

    field.move_resource_to_block_cache = unread
    field.async_move_resource_to_block_cache = unread_async
    return field
