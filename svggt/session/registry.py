"""Sessions: one visitor's run and scene each, kept apart from every other's, and for how long.

A session in memory has a scene; one that left memory is on disk, and comes back by its tokens.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import logging
import threading
import time
from collections import defaultdict
from dataclasses import fields, replace
from typing import Literal

from svggt.engine.worker import Worker
from svggt.errors import BadInput, writing
from svggt.session.session import Session
from svggt.settings import SessionLimits
from svggt.store.recording import Recording
from svggt.store.store import Store, Tokens

log = logging.getLogger(__name__)

Role = Literal["owner", "view", "reader", "capture"]


class Sessions:
    """All sessions of this process, found by token.

    Tokens are looked up by their hash, so that a comparison's time says nothing of a token.

    Args:
        worker: runs their streams.
        limits: on how many there are and how long they last.
        store: where they lie on disk; closed with the sessions.
    """

    def __init__(self, worker: Worker, limits: SessionLimits, store: Store) -> None:
        self.worker, self.limits, self.store = worker, limits, store
        self._open: dict[str, Session] = {}  # by the name of their recording
        self._names: dict[tuple[Role, str], str] = {}  # by role and hash of the token
        self._tokens: dict[str, Tokens] = {}
        self._opening = threading.RLock()  # so that limits hold
        self._loading: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._ended, self._has_closed = threading.Event(), False
        for name, tokens in store.tokens().items():
            self._know(name, tokens)
        self._reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)
        self._reaper.start()

    def __len__(self) -> int:
        """In memory."""
        return len(self._open)

    @property
    def in_memory(self) -> list[Session]:
        """Those with a scene."""
        return list(self._open.values())

    def open(self, address: str, instead_of: Session | None = None) -> Session:
        """A new session for a visitor.

        Args:
            address: the visitor's.
            instead_of: a session that leaves memory once the new one has begun; not counted.

        Raises:
            BadInput: there are too many.
        """
        with self._opening:
            self._check_address(address, instead_of)
            self._make_way(instead_of)
            tokens = Tokens.new()
            with writing():
                recording = self.store.create(tokens)
            name = recording.folder.name
            self._know(name, tokens)
            return self._into_memory(Session(self.worker, address, tokens, recording))

    def get(self, token: str | None, role: Role = "owner") -> Session | None:
        """The session in memory that a token opens; None for unknown and expired alike."""
        session = self._open.get(self._name(token, role) or "")
        if session is not None:
            session.touch()
        return session

    def find(self, token: str | None, role: Role = "owner") -> Session | None:
        """The same, brought back from disk where it left memory, which takes seconds.

        Raises:
            BadInput: there are too many, or it cannot be read.
        """
        session, name = self.get(token, role), self._name(token, role)
        if session is not None or name is None:
            return session
        with self._loading[name]:  # not twice at once, and not while it leaves
            if name in self._open or name not in self._tokens:
                return self._open.get(name)
            with self._opening:
                self._make_way()
            recording, tokens = self.store.load(name), self._tokens[name]
            if recording is None:
                return None
            return self._into_memory(Session(self.worker, "", tokens, recording))

    def recording(self, token: str | None, role: Role) -> Recording | None:
        """What a session has on disk, which needs no scene; None for unknown and expired."""
        name = self._name(token, role)
        return None if name is None else self.store.load(name)

    def kept_until(self, session: Session) -> float:
        """When it goes from disk if it stays as it is, seconds since 1970."""
        return self.store.kept_until(session.recording.folder.name)

    def revoke(self, session: Session) -> None:
        """Gives it another reader's token; the old one opens nothing any more."""
        name = session.recording.folder.name
        with self._loading[name]:
            tokens = replace(session.tokens, reader=Tokens.new().reader)
            with writing():
                self.store.write_tokens(name, tokens)
            self._know(name, tokens)
            del self._names["reader", _hash(session.tokens.reader)]
            session.tokens = tokens

    def close(self, token: str) -> None:
        """Takes a session out of memory; closing twice is harmless. Without a run it is gone."""
        name = self._name(token, "owner")
        if name is None:
            return
        with self._loading[name]:
            session = self._open.get(name)
            if session is None:
                return
            session.close()
            self._has_closed = True
            self.store.release(name)  # last: what is in memory is not expired on disk
            del self._open[name]
            if not session.recording.has_run:
                self._remove(name)

    def remove(self, token: str) -> None:
        """Ends a session, on disk too."""
        name = self._name(token, "owner")
        if name is not None:
            with self._loading[name]:
                self.close(token)
                self._remove(name)

    def shutdown(self) -> None:
        """Takes all sessions out of memory, and lets the store go."""
        self._ended.set()
        self._reaper.join()
        for session in self.in_memory:
            self.close(session.token)
        self.store.close()

    def expire(self, now: float) -> None:
        """Takes out of memory what is idle or too old, from disk what was kept long enough.

        Args:
            now: monotonic, seconds.
        """
        for session in self.in_memory:
            if session.in_use:
                session.touched = now
            idle = now - session.touched > self.limits.idle_seconds
            gone = not session.running and self.kept_until(session) < time.time()
            if idle or gone or now - session.opened > self.limits.max_seconds:
                self.close(session.token)
        self.store.expire()
        for name in self._tokens.keys() - self.store.names:
            self._forget(name)

    def _into_memory(self, session: Session) -> Session:
        name = session.recording.folder.name
        self.store.hold(name)
        self._open[name] = session
        return session

    def _remove(self, name: str) -> None:
        self._forget(name)
        self.store.remove(name)
        self._loading.pop(name, None)

    def _check_address(self, address: str, instead_of: Session | None) -> None:
        """Takes a session of a visitor out of memory, if they have many.

        Raises:
            BadInput: all are in use.
        """
        theirs = [s for s in self.in_memory if s.address == address and s is not instead_of]
        if len(theirs) >= self.limits.max_per_address and not self._close_one(theirs):
            raise BadInput(
                f"{self.limits.max_per_address} scenes are open from your address already. "
                "Close a tab with one, or try again in ten minutes."
            )

    def _make_way(self, instead_of: Session | None = None) -> None:
        """Takes the session out of memory that was left alone longest, if there are many.

        Raises:
            BadInput: all are in use.
        """
        every = [session for session in self.in_memory if session is not instead_of]
        if len(every) >= self.limits.max_sessions and not self._close_one(every):
            raise BadInput("The demo is full at the moment. Try again in a few minutes.")

    def _close_one(self, sessions: list[Session]) -> bool:
        """Takes the one out that was left alone longest, if one was."""
        left = [session for session in sessions if not session.in_use]
        if left:
            self.close(min(left, key=lambda session: session.touched).token)
        return bool(left)

    def _name(self, token: str | None, role: Role) -> str | None:
        return self._names.get((role, _hash(token))) if token else None

    def _know(self, name: str, tokens: Tokens) -> None:
        self._tokens[name] = tokens
        self._names |= dict.fromkeys(_keys(tokens), name)

    def _forget(self, name: str) -> None:
        tokens = self._tokens.pop(name, None)
        for key in _keys(tokens) if tokens is not None else ():
            self._names.pop(key, None)

    def _reap(self) -> None:
        while not self._ended.wait(timeout=5.0):
            try:
                self.expire(time.monotonic())
                if self._has_closed and not any(session.running for session in self.in_memory):
                    self._has_closed = False
                    _give_memory_back()
            except Exception:  # the reaper must outlive one bad session
                log.exception("expiry failed")


def _give_memory_back() -> None:
    """What ended sessions left in the allocator's hands goes back to the machine (glibc)."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _keys(tokens: Tokens) -> list[tuple[Role, str]]:
    return [(field.name, _hash(getattr(tokens, field.name))) for field in fields(tokens)]  # pyright: ignore[reportReturnType]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
