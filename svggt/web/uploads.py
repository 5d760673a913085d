"""Where uploads lie, and what keeps them from reaching further.

Gradio trusts a path that the browser names more than this page does: here a file must have been
uploaded to this page, and nothing is ever fetched from an address.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import gradio as gr

from svggt.errors import BadInput

_MAX_AGE = 3600.0  # seconds that an upload waits for a Start
_SWEEP_SECONDS = 30.0  # between two looks at what lies on the disk
_FREE_BYTES = 1_000_000_000  # that uploads leave free on it
_ADDRESSES = 10_000  # remembered at most
FULL = "The disk set aside for uploads is full: try again in an hour."
YOURS = "Too much was uploaded from your address: try again in an hour."


class UploadFolder:
    """The folder of Gradio's uploads, with quotas that bytes count against as they arrive.

    Args:
        folder: holds uploads and nothing else.
        quota_bytes: for all uploads together.
        address_bytes: that one address may send within an hour.
    """

    def __init__(self, folder: Path, quota_bytes: int, address_bytes: int) -> None:
        self._folder = folder.resolve()
        self._quota, self._address_quota = quota_bytes, address_bytes
        self._lock = threading.Lock()  # bytes arrive on the event loop; a sweep has its thread
        self._on_disk = self._since = 0  # at the last sweep, and arrived after its beginning
        self._swept = time.monotonic()
        self._by_address: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @classmethod
    def of_gradio(cls, quota_bytes: int, address_bytes: int) -> UploadFolder:
        """The folder that the environment tells Gradio (GRADIO_TEMP_DIR)."""
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, quota_bytes, address_bytes)

    def refusal(self, address: str, size: int = 0) -> str:
        """Counts bytes that have arrived, and says why no more may; empty where they may.

        Walks over nothing: what lies on the disk is looked at by a thread, now and then.

        Args:
            address: who sends them.
            size: bytes.
        """
        now = time.monotonic()
        with self._lock:
            since, sent = self._by_address.pop(address, (now, 0))
            since, sent = (now, size) if now - since > _MAX_AGE else (since, sent + size)
            self._by_address[address] = (since, sent)
            if len(self._by_address) > _ADDRESSES:
                self._by_address.popitem(last=False)
            self._since += size
            used = self._on_disk + self._since
        self.tidy()
        if sent >= self._address_quota:
            return YOURS
        is_full = used >= self._quota or shutil.disk_usage(self._folder).free < _FREE_BYTES
        return FULL if is_full else ""

    def tidy(self) -> None:
        """Sweeps in a thread of its own, if that was not done just now."""
        with self._lock:
            now = time.monotonic()
            is_due = now - self._swept > _SWEEP_SECONDS
            self._swept = now if is_due else self._swept
        if is_due:
            threading.Thread(target=self.sweep, name="uploads", daemon=True).start()

    def sweep(self) -> None:
        """Removes what waited too long, aborted uploads too, and measures what is left."""
        with self._lock:
            self._since = 0
        oldest, total = time.time() - _MAX_AGE, 0
        for parent, _, names in os.walk(self._folder, topdown=False):
            for path in (Path(parent) / name for name in names):
                with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                    facts = path.stat()
                    if facts.st_mtime < oldest:
                        path.unlink()
                    else:
                        total += facts.st_size
            with contextlib.suppress(OSError):  # something lies there still, or it has gone
                if Path(parent) != self._folder and Path(parent).stat().st_mtime < oldest:
                    Path(parent).rmdir()
        with self._lock:
            self._on_disk = total

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
            paths: where the files lie.
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
