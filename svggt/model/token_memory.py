"""A bounded memory of tokens in slots; what stays is the policy's to say.

The order of keys means nothing to attention (their positions are rotated in), so a token never
moves. What a policy drops at the end of a step are the slots that the next frame's tokens take:
once the budget is reached every step has the same shapes, and until the next frame is there
nothing that was kept is overwritten, so that a step can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from svggt.model.memory import FrameTokens, KeptTokens, LayerMemory
from svggt.model.storage import KeysAndValues, Slots, grown_capacity, named_under
from svggt.settings import Budget, Storage

_DROPPED = -1
_AT_ONCE = 66  # frames that memory is taken for at once: those of the largest window
_FEW = 512  # tokens, likewise
_FACT_BYTES, _SLOT_BYTES = 4, 8


@dataclass(frozen=True)
class Limits:
    """What a layer's memory is made with.

    Attributes:
        budget: of all layers; None: everything is kept.
        layers: that share it.
        storage: how tokens are kept.
        share: of the budget; the rest is another memory's.
    """

    budget: Budget | None = None
    layers: int = 1
    storage: Storage = "computed"
    share: Fraction = Fraction(1)


class TokenMemory(LayerMemory):
    """Keeps everything, or the tokens that score highest.

    A subclass says `scores`; frame 0 and the newest frame stay whatever it says. Facts about
    tokens are (R, slots): R = 1 where all heads keep the same, else R = B * heads.

    Args:
        limits: budget and storage.
    """

    heads_alike = True
    """Whether every head keeps the same tokens."""

    facts: tuple[str, ...] = ()
    """Names of what is noted of each token beside whose it is, four bytes each."""

    whole_frames = False
    """Whether a budget is rounded down to whole frames."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept = KeysAndValues(limits.storage)
        self._facts: dict[str, Tensor] = {}  # by name; "id" is frame * P + place, or dropped
        self._length = 0  # slots that were ever written
        self._free: Tensor | None = None  # (R, F <= P) of them, which nothing is kept in
        self._frame = FrameTokens(0, (0, 0), 0)  # the newest
        self._tokens = 0  # P
        self._budget: int | None = None  # tokens of this layer after a step
        self._resized = False  # the budget was changed, the buffers not yet
        self._staged: list[Slots] = []  # of this step's tokens,
        self._coming = self._frame  # and their frame
        self._before: dict[str, Any] | None = None  # all of the above, before `prepare`

    # What a policy says.

    def scores(self) -> Tensor:
        """(R, slots) of every slot written; the lowest are dropped. Recency, unless overridden."""
        return self.fact("id")

    def arrive(self, slots: Tensor) -> None:
        """Notes facts about the newest frame's tokens, which lie in slots (R, P)."""

    def excess(self) -> int:
        """Tokens to drop now that the newest frame is kept."""
        return 0 if self._budget is None else max(0, self.count - self._budget)

    def finish(self) -> None:
        """Writes what was prepared into kept tokens; nothing, unless overridden."""

    def choose(self, count: int) -> Tensor:
        """(R, count) slots to drop, in their order: those of the lowest scores."""
        return self.lowest(self.scores(), count)

    # What a policy may ask.
    def lowest(self, scores: Tensor, count: int) -> Tensor:
        """(R, count) slots of the lowest scores, of those that do not stay, in their order."""
        highest = torch.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).max
        scores = torch.where(self.stays(), highest, scores)
        lowest = torch.topk(scores, count, dim=1, largest=False, sorted=False).indices
        return lowest.sort(dim=1).values

    def stays(self) -> Tensor:
        """(R, slots): tokens of frame 0 and of the newest frame."""
        ids = self.fact("id")
        anchor = (ids >= 0) & (ids < self._tokens)
        return anchor | (ids >= self._frame.number * self._tokens)

    @property
    def count(self) -> int:
        """Tokens kept, in each head."""
        return self._length - (0 if self._free is None else self._free.shape[1])

    @property
    def frame(self) -> FrameTokens:
        """The newest frame."""
        return self._frame

    @property
    def tokens_per_frame(self) -> int:
        """P."""
        return self._tokens

    def fact(self, name: str) -> Tensor:
        """(R, slots) of the slots written."""
        return self._facts[name][:, : self._length]

    def keep_fact(self, name: str, slots: Tensor, values: Tensor | float) -> None:
        """Writes a fact of some tokens (R, P); NaN where it was never written."""
        ids = self._facts["id"]
        if name not in self._facts:
            self._facts[name] = torch.full_like(ids, torch.nan, dtype=torch.float32)
        given = torch.as_tensor(values, dtype=self._facts[name].dtype, device=ids.device)
        self._facts[name].scatter_(1, slots, given.expand(slots.shape))

    def numbers(self) -> Tensor:
        """(R, slots): the frame that each token is of; negative where none is kept."""
        return torch.div(self.fact("id"), self._tokens, rounding_mode="floor")

    def keys(self) -> Tensor:
        """(R, slots, D) of the slots written: D = head_dim, or of all heads together."""
        keys, _ = self._kept.read(self._length)
        if self._facts["id"].shape[0] == 1:
            return keys[:1].transpose(1, 2).flatten(2)  # of batches alike, the first
        return keys.flatten(0, 1)

    def likeness(self) -> Tensor:
        """(R, slots) cosine of each key to the mean of all normalised ones."""
        keys = torch.nn.functional.normalize(self.keys().float(), dim=-1)  # (R, slots, D)
        mean = keys.mean(dim=1, keepdim=True)
        return (keys * torch.nn.functional.normalize(mean, dim=-1)).sum(dim=-1)

    # The way of a step.
    def stage(
        self, queries: Tensor, keys: Tensor, values: Tensor, frame: FrameTokens
    ) -> tuple[Tensor, Tensor]:
        if not self._length and not self._staged:
            self._settle(keys)
        self._coming = frame
        slots, end = self._next_slots(keys.shape[2])
        self._kept.write(keys, values, slots, self._capacity(end))
        self._staged.append(slots)
        return self._kept.read(end)

    def fetch(self) -> None:
        self._kept.fetch(self._length)

    def prepare(self) -> None:
        facts = {name: values.clone() for name, values in self._facts.items()}
        self._before = {**vars(self), "_facts": facts}
        self._frame = self._coming
        for slots in self._staged:
            self._take_in(slots)
        self._staged, self._free = [], None  # what was free is taken
        self._drop(self.excess())

    def commit(self) -> None:
        if self._before is None:
            self.prepare()
        self._before = None
        self.finish()

    def rollback(self) -> None:
        if self._before is not None:
            vars(self).update(self._before)
        self._staged, self._before = [], None
        self._kept.let_go()
        if not self._length:  # what the first tokens decided is undone too
            self._kept = KeysAndValues(self._limits.storage)

    def save(self) -> dict[str, Tensor]:
        facts = {f"fact.{name}": values for name, values in self._facts.items()}
        free = {} if self._free is None else {"free": self._free}
        lengths = [self._length, self._tokens, -1 if self._budget is None else self._budget]
        place = [self._frame.number, *self._frame.grid, self._frame.num_special]
        return {"lengths": torch.tensor(lengths + place), **facts, **free, **self._kept.save()}

    def load(self, saved: dict[str, Tensor]) -> None:
        lengths = [int(each) for each in saved["lengths"]]
        self._length, self._tokens, budget, number, rows, columns, special = lengths
        self._budget = None if budget < 0 else budget
        self._frame = FrameTokens(number, (rows, columns), special)
        self._facts = dict(named_under("fact.", saved))
        self._free, self._staged = saved.get("free"), []
        self._kept.load(saved)

    def kept_ids(self) -> Tensor | None:
        if not self._length:
            return None
        return self.fact("id").sort(dim=1).values[:, self._length - self.count :]

    def kept(self) -> KeptTokens | None:
        if not self._length:
            return None
        ids = self.fact("id")
        order = ids.sort(dim=1).indices[:, self._length - self.count :]  # dropped ones are first
        keys, values = self._kept.take(order)
        facts = {name: self.fact(name).gather(1, order) for name in self._facts}
        return KeptTokens(facts, keys, values, self._frame, self._tokens)

    def adopt(self, kept: KeptTokens) -> None:
        self._frame, self._tokens = kept.frame, kept.tokens_per_frame
        own = 1 if self.heads_alike else kept.keys.shape[:2].numel()
        self._budget = self._tokens_allowed(kept.keys, max(own, len(kept.ids)))
        self._append(kept)
        self._drop(self.excess())

    @property
    def frames_held(self) -> int:
        return -(-self.count // max(1, self._tokens))

    @property
    def frames_left(self) -> int | None:
        return None if self._budget is None else (self._budget - self.count) // self._tokens

    @property
    def nbytes(self) -> int:
        facts = sum(values.nbytes for values in self._facts.values())
        if self._budget is not None and self._facts:
            # Numbers of free slots count from the beginning: they come with every later frame.
            facts += _SLOT_BYTES * len(self._facts["id"]) * self._tokens
        return self._kept.nbytes + facts

    # How it is done.

    def _resize(self, budget: int) -> None:
        """Changes this layer's budget; buffers follow at the end of the step."""
        self._budget, self._resized = budget, True

    def _settle(self, keys: Tensor) -> None:
        """What the first frame's tokens decide."""
        self._tokens = keys.shape[2]
        rows = 1 if self.heads_alike else keys.shape[:2].numel()
        self._budget = self._tokens_allowed(keys, rows)

    def _tokens_allowed(self, keys: Tensor, rows: int) -> int | None:
        limits = self._limits
        if limits.budget is None:
            return None
        token_bytes = self._kept.token_bytes(keys) + _FACT_BYTES * rows * (1 + len(self.facts))
        fixed = self._kept.fixed_bytes(keys) + _SLOT_BYTES * rows * self._tokens
        allowed = limits.budget.tokens(
            self._tokens, limits.layers, token_bytes, fixed, limits.share
        )
        return allowed - allowed % self._tokens if self.whole_frames else allowed

    def _drop(self, count: int) -> None:
        """Frees the slots of so many tokens; of more than a frame's by writing the rest anew."""
        if count:
            self._free = self.choose(count)
            self._facts["id"].scatter_(1, self._free, _DROPPED)
        if count > self._tokens or self._resized:
            self._resized, remaining = False, self.kept()
            assert remaining is not None
            self._append(remaining)

    def _next_slots(self, tokens: int) -> tuple[Slots, int]:
        """Where so many next ones go, and how many slots are written then."""
        free = self._free
        begin = self._length + sum(_length_of(slots) for slots in self._staged)
        if free is None:
            return slice(begin, begin + tokens), begin + tokens
        assert not self._staged, "only a memory that drops nothing is staged more than once a step"
        if free.shape[1] == tokens:  # every step, once the budget is reached
            return free, begin
        more = torch.arange(begin, begin + tokens - free.shape[1], device=free.device)
        return torch.cat([free, more.expand(len(free), -1)], dim=1), begin + len(more)

    def _capacity(self, end: int) -> int:
        """Slots to have room for: at most those of the budget and of one frame more."""
        room = grown_capacity(self._kept.capacity, end)
        if self._budget is None:
            return room
        # At once, so that shapes stay; a budget that few clips fill takes memory as they do.
        allowed = self._budget + self._tokens
        if end > allowed:  # a policy that keeps more
            return room
        return allowed if allowed <= max(_AT_ONCE * self._tokens, _FEW) else min(room, allowed)

    def _take_in(self, slots: Slots) -> None:
        """Writes down whose the staged tokens are."""
        device = self._kept.device
        rows = self._facts["id"].shape[0] if self._facts else self._own_rows
        if isinstance(slots, slice):
            slots = torch.arange(slots.start, slots.stop, device=device).expand(rows, -1)
            self._length += slots.shape[1]
        else:
            free = 0 if self._free is None else self._free.shape[1]
            self._length += slots.shape[1] - free
        self._make_room(rows, device)
        first = self._frame.number * self._tokens
        ids = torch.arange(first, first + slots.shape[1], dtype=torch.int32, device=device)
        self._facts["id"].scatter_(1, slots, ids.expand(slots.shape))
        self.arrive(slots)

    def _append(self, kept: KeptTokens) -> None:
        """Becomes a memory of these tokens, in order of time."""
        rows, count = kept.ids.shape
        whole = slice(0, count)
        self._kept, self._length, self._free = KeysAndValues(self._limits.storage), count, None
        self._kept.write(kept.keys, kept.values, whole, self._capacity(count))
        self._facts = {}
        self._make_room(max(rows, self._own_rows), kept.ids.device)
        self._facts["id"][:, whole] = kept.ids
        for name in kept.facts.keys() & set(self.facts):
            self._facts[name] = torch.full_like(self._facts["id"], torch.nan, dtype=torch.float32)
            self._facts[name][:, whole] = kept.facts[name]

    @property
    def _own_rows(self) -> int:
        return 1 if self.heads_alike else self._kept.rows

    def _make_room(self, rows: int, device: torch.device) -> None:
        """Facts for as many slots as the buffers have."""
        capacity = self._kept.capacity
        if not self._facts:
            ids = torch.full((rows, capacity), _DROPPED, dtype=torch.int32, device=device)
            self._facts["id"] = ids
        for name, values in self._facts.items():
            if values.shape[1] < capacity:
                more = capacity - values.shape[1]
                fill = _DROPPED if name == "id" else torch.nan
                self._facts[name] = torch.nn.functional.pad(values, (0, more), value=fill)


def _length_of(slots: Slots) -> int:
    return slots.stop - slots.start if isinstance(slots, slice) else slots.shape[1]
