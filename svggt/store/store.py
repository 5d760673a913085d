"""All recordings of a machine, with a quota and a time to go."""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from svggt.errors import StoreRefused
from svggt.files import atomic_write
from svggt.store import claim
from svggt.store.recording import Recording

log = logging.getLogger(__name__)

_MEASURED_SECONDS = 1.0  # that a folder's size counts


class StoreInUse(StoreRefused):
    """Another server keeps its sessions in the same folder."""


@dataclass(frozen=True)
class Tokens:
    """Keys of a session; each opens one thing. 192 bits of chance each.

    Attributes:
        owner: drives the session.
        view: opens the socket of its owner's 3D view.
        reader: read-only: the page without its controls. Another one takes its place when it is
            revoked.
        capture: lets a camera send pictures.
    """

    owner: str
    view: str
    reader: str
    capture: str

    @classmethod
    def new(cls) -> Tokens:
        """Of a new session."""
        return cls(*(secrets.token_urlsafe(24) for _ in range(4)))


_TOKENS = TypeAdapter(Tokens)


class Store:
    """A folder with a recording a session. Deletes what is its own alone (`svggt.store.claim`).

    Args:
        folder: made if it is not there, then for the one who serves alone to read.
        keep_seconds: that a recording stays after it was changed last.
        quota_bytes: for all recordings together.

    Raises:
        StoreRefused: the folder holds what is not ours.
        StoreInUse: it is another server's.
    """

    def __init__(
        self, folder: Path, keep_seconds: float = 86_400.0, quota_bytes: int = 20_000_000_000
    ) -> None:
        self.keep_seconds = keep_seconds
        self._folder, self._quota = folder.expanduser().absolute(), quota_bytes
        with _refusing(folder):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sizes: dict[str, tuple[float, int]] = {}  # by name: when measured, bytes
        self._known: set[str] = set()  # names of what may be deleted
        self._held: set[str] = set()  # and of what is in memory
        claim.check(self._folder)
        self._in_use = FileLock(self._folder / claim.LOCK)
        try:
            with _refusing(folder):
                self._in_use.acquire(timeout=0)
        except Timeout:
            raise StoreInUse(
                f"another server keeps its sessions in {folder}: name another one by --store"
            ) from None
        with _refusing(folder):
            claim.mark(self._folder)

    def create(self, tokens: Tokens) -> Recording:
        """An empty recording that these tokens open."""
        name = secrets.token_hex(8)
        try:
            recording = self._recording(name)
            self.write_tokens(name, tokens)
        except OSError:
            claim.erase(self._folder / name)  # nothing half is left
            raise
        self._known.add(name)
        return recording

    def write_tokens(self, name: str, tokens: Tokens) -> None:
        """Sets the tokens of a recording, by the name of its folder."""
        with atomic_write(self._folder / name / "tokens.json") as path:
            path.write_bytes(_TOKENS.dump_json(tokens))

    def tokens(self) -> dict[str, Tokens]:
        """Of all recordings, by name.

        What never ran is removed: nobody can want it. What is damaged stays where it is, is
        neither opened nor deleted, and the log says so.
        """
        found = {}
        for folder in filter(claim.is_recording, sorted(self._folder.iterdir())):
            name = folder.name
            if claim.is_going(folder) or _never_ran(folder):
                claim.erase(folder)
                continue
            try:
                found[name] = _tokens_of(folder)
            except (OSError, ValueError, RecursionError) as error:
                log.warning("%s is damaged; it is kept, but cannot be opened: %s", folder, error)
        self._known = set(found)
        return found

    def load(self, name: str) -> Recording | None:
        """A recording by the name of its folder; None if it is gone."""
        return self._recording(name) if (self._folder / name).is_dir() else None

    def hold(self, name: str) -> None:
        """Says that a recording is in memory: neither its age nor the quota removes it."""
        self._held.add(name)

    def release(self, name: str) -> None:
        """Says that it left memory."""
        self._held.discard(name)

    @property
    def names(self) -> set[str]:
        """All recordings that can be opened, by the names of their folders."""
        return set(self._known)

    def kept_until(self, name: str) -> float:
        """When a recording goes, seconds since 1970."""
        return _changed(self._folder / name) + self.keep_seconds

    def remove(self, name: str) -> None:
        """Removes a recording; one that is not there is ignored."""
        claim.erase(self._folder / name)
        self._held.discard(name)
        self._known.discard(name)
        self._sizes.pop(name, None)

    def expire(self, num_bytes: int = 0) -> None:
        """Removes what was kept long enough or exceeds the quota, the oldest first.

        Args:
            num_bytes: that the quota is to hold besides.
        """
        oldest_first = sorted(self._folders(), key=_changed)
        sizes = {folder: self._size(folder) for folder in oldest_first}
        now = time.time()
        for folder in oldest_first:
            too_old = now > _changed(folder) + self.keep_seconds
            if folder.name not in self._held and (
                too_old or sum(sizes.values()) + num_bytes > self._quota
            ):
                self.remove(folder.name)
                del sizes[folder]

    def has_room(self, num_bytes: int = 0, others_go: bool = False) -> bool:
        """Whether the quota holds, if need be after what is oldest has gone.

        Runs ask, while whoever waits for them may hold locks: it takes none.

        Args:
            num_bytes: that are to be written at once; the disk has to have them free.
            others_go: the oldest go for them too; else only for what is there already.
        """
        wanted = num_bytes if others_go else 0
        if not self._quota_holds(wanted):
            self.expire(wanted)
        is_free = shutil.disk_usage(self._folder).free > num_bytes
        return is_free and self._quota_holds(num_bytes)

    def close(self) -> None:
        """Lets another server have the folder."""
        self._in_use.release()

    def _recording(self, name: str) -> Recording:
        return Recording(self._folder / name, self.has_room)

    def _quota_holds(self, num_bytes: int = 0) -> bool:
        return sum(map(self._size, self._folders())) + num_bytes <= self._quota

    def _folders(self) -> list[Path]:
        return [self._folder / name for name in tuple(self._known)]

    def _size(self, folder: Path) -> int:
        """Bytes of a folder, measured again after some seconds."""
        now = time.monotonic()
        measured, size = self._sizes.get(folder.name, (-math.inf, 0))
        if now - measured > _MEASURED_SECONDS:
            size = _bytes(folder)
            self._sizes[folder.name] = (now, size)
        return size


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """A block that writes into a folder that is to be a store.

    Raises:
        StoreRefused: it cannot be written.
    """
    try:
        yield
    except Timeout:  # another server's lock, which is an OSError too
        raise
    except OSError as error:
        raise StoreRefused(
            f"{folder} cannot be written ({error.strerror}): name another folder by --store"
        ) from error


def _never_ran(folder: Path) -> bool:
    """Whether a folder holds neither a run, nor frames of one, nor anything of somebody else's."""
    has_run = (folder / "run.json").exists() or any((folder / "frames").glob("*.npz"))
    return not has_run and next(claim.strangers_in(folder), None) is None


def _tokens_of(folder: Path) -> Tokens:
    """Of a recording whose run can be read.

    Raises:
        ValueError: its run or its tokens are damaged.
        OSError: they are not there, or cannot be read.
    """
    json.loads((folder / "run.json").read_bytes())
    return _TOKENS.validate_json((folder / "tokens.json").read_bytes())


def _changed(folder: Path) -> float:
    """When a run began or ended last; when the folder was made, if there is none."""
    for path in (folder / "run.json", folder):
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            continue
    return 0.0


def _bytes(folder: Path) -> int:
    """Of all files in a folder; what goes meanwhile, folders too, counts or does not."""
    total = 0
    for parent, _, names in os.walk(folder):  # which skips folders that have gone
        for name in names:
            with suppress(FileNotFoundError):  # just replaced or removed
                total += (Path(parent) / name).lstat().st_size
    return total
