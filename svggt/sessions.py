"""Sessions: one visitor's run and scene each, kept apart from every other's, and for how long."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import dataclass

from svggt.frames import BadInput
from svggt.session import Session
from svggt.workers import LocalWorker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionLimits:
    """How many sessions there are, and how long they last.

    Attributes:
        max_sessions: at once.
        max_per_address: of one visitor's address at once.
        idle_seconds: until a session ends that nobody looks at and that does not run.
        max_seconds: until any session ends.
    """

    max_sessions: int = 32
    max_per_address: int = 6
    idle_seconds: float = 600.0
    max_seconds: float = 7200.0


class Sessions:
    """All sessions of this process, found by token.

    Tokens are looked up by their hash, so that a comparison's time says nothing of a token.

    Args:
        worker: runs their streams.
        limits: on how many there are and how long they last.
    """

    def __init__(self, worker: LocalWorker, limits: SessionLimits) -> None:
        self.worker = worker
        self._limits = limits
        self._by_token: dict[str, Session] = {}
        self._by_viewer_token: dict[str, Session] = {}
        self._by_capture_token: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)
        self._reaper.start()

    def __len__(self) -> int:
        return len(self._by_token)

    def open(self, address: str) -> Session:
        """A new session for a visitor.

        Raises:
            BadInput: there are too many.
        """
        with self._lock:
            current = list(self._by_token.values())
            if len(current) >= self._limits.max_sessions:
                raise BadInput("The demo is full at the moment. Try again in a few minutes.")
            if sum(s.address == address for s in current) >= self._limits.max_per_address:
                raise BadInput(
                    f"{self._limits.max_per_address} scenes are open from your address already. "
                    "Close a tab with one, or try again in ten minutes."
                )
            session = Session(self.worker, address)
            self._by_token[_hash(session.token)] = session
            self._by_viewer_token[_hash(session.viewer_token)] = session
            self._by_capture_token[_hash(session.capture_token)] = session
            return session

    def get(self, token: str | None) -> Session | None:
        """The session of an owner's token; None for unknown and expired alike."""
        session = self._by_token.get(_hash(token)) if token else None
        if session is not None:
            session.touch()
        return session

    def viser_port(self, viewer_token: str) -> int | None:
        """The loopback port of a session's viser server."""
        session = self._by_viewer_token.get(_hash(viewer_token))
        return session.scene.port if session else None

    def capturing(self, capture_token: str) -> Session | None:
        """The session that a camera's token sends pictures to."""
        return self._by_capture_token.get(_hash(capture_token))

    def close(self, token: str) -> None:
        """Ends a session; closing twice is harmless."""
        with self._lock:
            session = self._by_token.pop(_hash(token), None)
            if session is None:
                return
            del self._by_viewer_token[_hash(session.viewer_token)]
            del self._by_capture_token[_hash(session.capture_token)]
        session.close()

    def shutdown(self) -> None:
        """Ends all sessions."""
        self._ended.set()
        self._reaper.join()
        for session in list(self._by_token.values()):
            self.close(session.token)

    def expire(self, now: float) -> None:
        """Ends what is idle or too old at a monotonic time in seconds."""
        for session in list(self._by_token.values()):
            if session.running or session.scene.num_viewers:
                session.touched = now
            idle = now - session.touched > self._limits.idle_seconds
            if idle or now - session.opened > self._limits.max_seconds:
                self.close(session.token)

    def _reap(self) -> None:
        while not self._ended.wait(timeout=5.0):
            try:
                self.expire(time.monotonic())
            except Exception:  # the reaper must outlive one bad session
                log.exception("expiry failed")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
