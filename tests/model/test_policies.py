"""Laws of every cache policy: what stays, how much, and that a step can be undone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
import torch

from svggt.experiments.parity import Fixture
from svggt.model.frame_geometry import FrameGeometry, seen_by
from svggt.model.memory import Memory
from svggt.model.network import VGGT
from svggt.model.policies import bounded, full
from svggt.model.policies.attention import AttentionMemory
from svggt.settings import Budget, BudgetError, MemoryPolicy, Storage
from tests.model.test_streaming import LANDSCAPE, clip, relative_error, stream_clip

POLICIES: tuple[MemoryPolicy, ...] = get_args(MemoryPolicy)
BOUNDED = [name for name in POLICIES if name not in ("full", "trajectory", "blocks")]
WHOLE = ("window", "keyframes", "coverage")
TOKEN_BYTES = 2 * 48 * 4 + 16  # keys, values and whose they are
TOKENS, LAYERS = 5 + 4 * 6, 4  # of a frame of the fixture's network, and its global layers
FRAMES = 14


@pytest.fixture(scope="module")
def network(parity: Fixture) -> VGGT:
    return parity.network()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return clip(FRAMES, 1, LANDSCAPE, torch.float32)


def geometry(number: int, x: float | None = None) -> FrameGeometry:
    """A wall 2 m away, seen by a camera that walks along it by a fifth of its view a frame."""
    intrinsics = torch.tensor([[84.0, 0, 42], [0, 84.0, 28], [0, 0, 1]])
    pose = torch.eye(3, 4)
    pose[0, 3] = -(0.4 * number if x is None else x)
    depth = torch.full((24,), 2.0)
    return FrameGeometry(number, LANDSCAPE, (4, 6), pose, intrinsics, depth, depth + 3)


def step(network: VGGT, memory: Memory, images: torch.Tensor) -> torch.Tensor:
    """The depth of the next frame, and the frame kept."""
    number = memory.num_frames
    with torch.no_grad():
        depth = network.step(images[:, number : number + 1], memory).depth
    memory.prepare(geometry(number) if memory.wants_geometry else None)
    memory.commit()
    return depth


def kept_ids(memory: Memory) -> list[torch.Tensor]:
    return [layer.ids for layer in memory.kept()]


def test_there_are_as_many_layers_as_the_tests_think(network: VGGT) -> None:
    assert network.config.depth == LAYERS


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("budget", [None, Budget(FRAMES, "frames")], ids=["none", "as long"])
def test_an_unlimited_budget_equals_full(parity: Fixture, name: MemoryPolicy, budget) -> None:
    network, images = parity.network(), clip(6, 2, LANDSCAPE, torch.float32)
    with torch.no_grad():
        ours = stream_clip(network, images, bounded(name, budget))
        exact = stream_clip(network, images, full())
    assert torch.equal(ours.depth, exact.depth)
    assert torch.equal(ours.pose_enc, exact.pose_enc)


@pytest.mark.parametrize(
    "budget",
    [
        Budget(4, "frames"),
        Budget(4 * TOKENS * LAYERS + 37 * LAYERS, "tokens"),
        Budget(LAYERS * 6 * TOKENS * TOKEN_BYTES, "bytes"),
    ],
    ids=lambda budget: budget.unit,
)
@pytest.mark.parametrize("name", BOUNDED)
def test_a_budget_is_never_exceeded_and_the_first_and_newest_frame_stay(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy, budget: Budget
) -> None:
    memory, sizes = Memory(network.config, bounded(name, budget)), []
    for number in range(FRAMES):
        step(network, memory, images)
        ids = kept_ids(memory)
        if budget.unit == "bytes":
            assert memory.global_bytes <= budget.amount
        else:
            limit = budget.amount * (TOKENS * LAYERS if budget.unit == "frames" else 1)
            assert sum(each.shape[1] for each in ids) <= limit
        for layer in ids:
            assert (layer.diff(dim=1) > 0).all()  # in order of time, none twice
            for frame in (0, number):
                assert ((layer // TOKENS == frame).sum(dim=1) == TOKENS).all()
            if name in WHOLE:
                assert set((layer // TOKENS).unique(return_counts=True)[1].tolist()) == {TOKENS}
        sizes.append((memory.nbytes, [each.shape[1] for each in ids]))
    assert len({size for _, size in [(s, tuple(n)) for s, n in sizes[-5:]]}) == 1  # shapes stay


@pytest.mark.parametrize("name", BOUNDED)
def test_what_a_budget_of_bytes_allows_is_nearly_used(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy
) -> None:
    budget = Budget(LAYERS * 8 * TOKENS * TOKEN_BYTES, "bytes")
    memory = Memory(network.config, bounded(name, budget))
    for _ in range(FRAMES):
        step(network, memory, images)
    frame = LAYERS * TOKENS * TOKEN_BYTES
    slack = frame if name in WHOLE else LAYERS * 600
    assert budget.amount - slack <= memory.global_bytes <= budget.amount


@pytest.mark.parametrize("storage", ["computed", "int4", "host"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_step_rolled_back_leaves_no_trace(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy, storage: Storage
) -> None:
    policy = bounded(name, Budget(4, "frames"), storage)
    undisturbed, memory = (Memory(network.config, policy) for _ in range(2))
    for number in range(9):
        with torch.no_grad():
            network.step(1 - images[:, number : number + 1], memory)  # a failed attempt
        memory.rollback()
        if number:
            assert all(map(torch.equal, kept_ids(memory), kept_ids(undisturbed)))
        expected = step(network, undisturbed, images)
        ours = step(network, memory, images)
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_saved_and_loaded_goes_on_the_same(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy
) -> None:
    policy = bounded(name, Budget(4, "frames"), "int8")
    for saved_after in (0, 3, 8):
        whole, resumed = (Memory(network.config, policy) for _ in range(2))
        for _ in range(saved_after):
            step(network, whole, images)
        resumed.load({n: tensor.clone() for n, tensor in whole.save().items()})
        for _ in range(3):
            assert torch.equal(step(network, whole, images), step(network, resumed, images))
        assert all(map(torch.equal, kept_ids(whole), kept_ids(resumed)))


@pytest.mark.parametrize("name", ["full", "window", "trajectory", "attention"])
def test_two_streams_in_a_batch_are_each_alone(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy
) -> None:
    policy = bounded(name, Budget(4, "frames"))
    both, other = torch.cat([images, images.flip(1)]), images.flip(1)
    together, alone = Memory(network.config, policy), Memory(network.config, policy)
    for _ in range(9):
        ours, theirs = step(network, together, both), step(network, alone, other)
        assert relative_error(ours[1:], theirs) < 1e-5


@pytest.mark.parametrize("before", POLICIES)
@pytest.mark.parametrize("after", POLICIES)
def test_a_policy_is_changed_between_two_frames(
    network: VGGT, images: torch.Tensor, before: MemoryPolicy, after: MemoryPolicy
) -> None:
    memory = Memory(network.config, bounded(before, Budget(6, "frames")))
    for _ in range(8):
        step(network, memory, images)
    earlier = kept_ids(memory)
    changed = Memory(network.config, bounded(after, Budget(4, "frames"), "bfloat16"))
    changed.adopt(memory)
    assert changed.num_frames == 8
    for ours, theirs in zip(kept_ids(changed), earlier, strict=True):
        assert torch.isin(ours, theirs).all()  # nothing is made up
        assert (ours // TOKENS == 7).sum() == len(ours) * TOKENS
        if after == "full":
            assert ours.shape[1] == theirs.shape[1]
    for _ in range(4):
        assert step(network, changed, images).isfinite().all()
    if after not in ("full", "trajectory"):
        assert sum(each.shape[1] for each in kept_ids(changed)) <= 4 * TOKENS * LAYERS


def test_adopting_everything_goes_on_exactly(network: VGGT, images: torch.Tensor) -> None:
    whole = Memory(network.config, full())
    for _ in range(5):
        step(network, whole, images)
    for name in POLICIES:
        changed = Memory(network.config, bounded(name, None))
        changed.adopt(whole)
        with torch.no_grad():
            ours, exact = (network.step(images[:, 5:6], m).depth for m in (changed, whole))
        whole.rollback()
        assert relative_error(ours, exact) < 1e-6


def test_trajectory_keeps_five_tokens_of_every_frame(network: VGGT, images: torch.Tensor) -> None:
    memory = Memory(network.config, bounded("trajectory", Budget(4, "frames")))
    for number in range(FRAMES):
        step(network, memory, images)
        for layer in kept_ids(memory):
            places = layer[0] % TOKENS
            assert ((places < 5).sum()) == 5 * (number + 1)
    whole = {int(f) for f in layer[0, places >= 5] // TOKENS}
    assert whole == {0, 1, FRAMES - 1}  # with the next one, four are attended to


def test_keyframes_keep_what_differs(network: VGGT, images: torch.Tensor) -> None:
    """Frames alike go before one that is like no other."""
    alike = images[:, :1].repeat(1, FRAMES, 1, 1, 1)
    alike[:, 3] = 1 - alike[:, 3]
    memory = Memory(network.config, bounded("keyframes", Budget(6, "frames")))
    for _ in range(FRAMES):
        step(network, memory, alike)
    assert all((layer // TOKENS == 3).any() for layer in kept_ids(memory))


def test_coverage_keeps_views_of_the_whole_wall(network: VGGT, images: torch.Tensor) -> None:
    """A camera that walks along a wall: there is a kept view of every part of it."""
    memory = Memory(network.config, bounded("coverage", Budget(7, "frames")))
    for _ in range(FRAMES):
        step(network, memory, images)
    for layer in kept_ids(memory):
        assert len(layer[0]) == 7 * TOKENS
        frames = sorted({int(frame) for frame in layer[0] // TOKENS})
        assert frames[0] == 0 and frames[-4:] == [10, 11, 12, 13]
        assert max(b - a for a, b in pairwise(frames)) <= 5  # views wide


def test_attention_is_what_each_token_received(network: VGGT, images: torch.Tensor) -> None:
    """All of a row's weights are shared among the tokens, whatever their number."""
    memory = Memory(network.config, bounded("attention", Budget(4, "frames")))
    for _ in range(3):
        step(network, memory, images)
    layer = memory._global.layers[0]
    assert isinstance(layer, AttentionMemory)
    # Three frames: rows of 1, 2 and 3 frames' tokens, each worth its length.
    assert torch.allclose(layer.fact("received").sum(dim=1), torch.tensor(6.0 * TOKENS))


def test_a_merged_memory_is_another_and_the_anchor_as_it_was(
    network: VGGT, images: torch.Tensor
) -> None:
    merged, plain = (
        Memory(network.config, bounded(name, Budget(4, "frames"))) for name in ("merge", "residual")
    )
    for _ in range(5):
        for memory in (merged, plain):
            step(network, memory, images)
    ours, theirs = merged.kept()[0], plain.kept()[0]  # later layers have seen other keys
    assert torch.equal(ours.ids, theirs.ids)
    assert not torch.equal(ours.keys, theirs.keys)
    assert torch.equal(ours.keys[:, :, :TOKENS], theirs.keys[:, :, :TOKENS])


def test_a_wall_is_seen_as_far_as_two_views_overlap() -> None:
    views = [geometry(0), geometry(1, x=1.0), geometry(2, x=2.0)]  # each 2 m wide
    seen = seen_by(views, views)
    assert seen[0, 0].all()
    assert seen[0, 1].view(4, 6)[:, 3:].all() and not seen[0, 1].view(4, 6)[:, :3].any()
    assert seen[1, 0].view(4, 6)[:, :3].all() and not seen[1, 0].view(4, 6)[:, 3:].any()
    assert not seen[0, 2].any()
    near = replace(geometry(3), depth=torch.full((24,), 1.0))
    assert not seen_by([geometry(0, x=0.0)], [near]).any()  # something is before the wall


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("9 frames", 9, "frames"),
        ("20k tokens", 20_000, "tokens"),
        ("1.5 GB", 1_500_000_000, "bytes"),
        ("500MB", 500_000_000, "bytes"),
        ("2 frame", 2, "frames"),
    ],
)
def test_budgets_are_read_as_people_write_them(text: str, amount: int, unit: str) -> None:
    assert Budget.parse(text) == Budget(amount, unit)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", ["", "many", "9", "-3 frames", "1e9 tokens", "5 kilos"])
def test_what_is_no_budget_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BudgetError, match="9 frames"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["1 frame", "0 frames"])
def test_fewer_than_two_frames_are_refused_before_there_is_one(text: str) -> None:
    with pytest.raises(BudgetError, match=r"A memory of \d frames? .* choose 2 frames or more"):
        Budget.parse(text)


@pytest.mark.parametrize("budget", [Budget(1, "frames"), Budget(99, "tokens"), Budget(9, "bytes")])
def test_a_budget_that_holds_no_two_frames_is_refused_with_the_least(
    network: VGGT, images: torch.Tensor, budget: Budget
) -> None:
    memory = Memory(network.config, bounded("window", budget))
    with torch.no_grad(), pytest.raises(ValueError, match=r"choose .* or more") as refused:
        network.step(images[:, :1], memory)
    least = Budget.parse(str(refused.value).split("choose ")[1].split(" or more")[0])
    enough = Memory(network.config, bounded("window", least))
    for _ in range(4):
        step(network, enough, images)


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "blocks"])
@pytest.mark.parametrize("frames", [2, 3])
def test_the_smallest_budgets_keep_the_first_and_the_newest(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy, frames: int
) -> None:
    memory, first = Memory(network.config, bounded(name, Budget(frames, "frames"))), None
    for number in range(7):
        step(network, memory, images)
        kept = memory.kept()[0]
        for frame in (0, number):
            assert ((kept.ids // TOKENS == frame).sum(dim=1) == TOKENS).all()
        first = kept.keys[:, :, :TOKENS].clone() if first is None else first
        assert torch.equal(kept.keys[:, :, :TOKENS], first)  # nothing is merged into it


@pytest.mark.parametrize("name", BOUNDED)
def test_a_step_that_fails_while_it_drops_leaves_no_trace(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device is fullest then: some layers have dropped, others have not."""
    policy = bounded(name, Budget(4, "frames"))
    memory, undisturbed = (Memory(network.config, policy) for _ in range(2))
    for number in range(9):
        with torch.no_grad():
            network.step(images[:, number : number + 1], memory)
        failing = memory._global.layers[2]
        with monkeypatch.context() as patch:
            patch.setattr(failing, "excess", lambda: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                memory.prepare(geometry(number) if memory.wants_geometry else None)
            memory.rollback()
        ours, theirs = step(network, memory, images), step(network, undisturbed, images)
        assert torch.equal(ours, theirs)
        assert all(map(torch.equal, kept_ids(memory), kept_ids(undisturbed)))


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "diversity"])
def test_changing_to_the_same_memory_changes_nothing(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy
) -> None:
    policy = bounded(name, Budget(4, "frames"))
    memory, unchanged = (Memory(network.config, policy) for _ in range(2))
    for _ in range(8):
        for each in (memory, unchanged):
            step(network, each, images)
    with torch.no_grad():
        network.step(1 - images[:, 8:9], memory)  # a failed step before
    memory.rollback()
    changed = Memory(network.config, policy)
    changed.adopt(memory)
    assert all(map(torch.equal, kept_ids(changed), kept_ids(unchanged)))
    for _ in range(3):
        ours, theirs = step(network, changed, images), step(network, unchanged, images)
        assert relative_error(ours, theirs) < 1e-5
        assert all(map(torch.equal, kept_ids(changed), kept_ids(unchanged)))


@pytest.mark.parametrize("storage", ["computed", "int8", "int4"])
@pytest.mark.parametrize("before", [None, "attention"])
@pytest.mark.parametrize("name", BOUNDED)
def test_bytes_are_never_exceeded_in_any_storage_nor_after_a_change(
    network: VGGT, images: torch.Tensor, name: MemoryPolicy, before, storage: Storage
) -> None:
    budget = Budget(LAYERS * 6 * TOKENS * TOKEN_BYTES, "bytes")
    memory = Memory(network.config, bounded(name, budget, storage))
    if before is not None:
        earlier = Memory(network.config, bounded(before, Budget(9, "frames")))
        for _ in range(8):
            step(network, earlier, images)
        memory.adopt(earlier)
    for _ in range(5 if before else FRAMES):
        step(network, memory, images)
        assert memory.global_bytes <= budget.amount


def test_a_change_from_whole_frames_drops_one_after_the_other(
    network: VGGT, images: torch.Tensor
) -> None:
    """Of two frames that show the same one stays, also where many go at once."""
    alike = images[:, :1].repeat(1, FRAMES, 1, 1, 1)
    alike[:, 3:5] = 1 - alike[:, 3:5]
    memory = Memory(network.config, full())
    for _ in range(FRAMES):
        step(network, memory, alike)
    changed = Memory(network.config, bounded("keyframes", Budget(6, "frames")))
    changed.adopt(memory)
    for layer in kept_ids(changed):
        assert torch.isin(torch.tensor([3, 4]), layer // TOKENS).sum() == 1


def test_a_budget_takes_memory_as_frames_come(network: VGGT, images: torch.Tensor) -> None:
    memory = Memory(network.config, bounded("window", Budget(100_000, "frames")))
    step(network, memory, images)
    assert memory.global_bytes < 3 * LAYERS * TOKENS * TOKEN_BYTES


def test_the_least_that_is_named_is_enough_at_any_size() -> None:
    for tokens, layers, token_bytes, fixed in ((1041, 24, 4100, 8328), (1041, 24, 2116, 12424)):
        with pytest.raises(BudgetError) as refused:
            Budget(1, "bytes").tokens(tokens, layers, token_bytes, fixed)
        least = str(refused.value).split("choose ")[1].removesuffix(" or more")
        assert Budget.parse(least).tokens(tokens, layers, token_bytes, fixed) >= 2 * tokens


@pytest.mark.parametrize("text", ["1" + 50_000 * " " + "x", "9" * 400 + " frames", "9" * 13 + "B"])
def test_a_budget_that_attacks_is_refused_at_once(text: str) -> None:
    with pytest.raises(BudgetError, match="write '9 frames'") as refused:
        Budget.parse(text)
    assert len(str(refused.value)) < 150
