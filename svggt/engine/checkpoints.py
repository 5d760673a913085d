"""Finding, downloading, verifying and loading weights.

Files are safetensors, or .pt/.pth read with `weights_only`. Loading is strict and without
double memory: the network is built on the meta device and takes the tensors over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from svggt.engine.devices import Device, enough_threads, in_passing
from svggt.engine.quantise import read_tensors
from svggt.errors import CheckpointError
from svggt.files import EMBEDDED_WEIGHTS
from svggt.model.config import PRESETS, ModelConfig, Preset
from svggt.model.network import VGGT
from svggt.settings import AUTO

ROOM_FOR_1B = 12 << 30
"""Free accelerator bytes from which `auto` chooses the published weights."""

_NON_COMMERCIAL = "published weights, for non-commercial use only"
_EMBEDDED = "small, preliminary weights of this project"


@dataclass(frozen=True)
class HubFile:
    """A file on the Hugging Face hub, pinned to a revision."""

    repository: str
    filename: str
    revision: str


HUB_FILES = {
    "streamvggt-1b": HubFile(
        "lch01/StreamVGGT", "checkpoints.pth", "f9ba55b1955bc4f34337c51142158a9aa2862c7f"
    ),
    "vggt-1b": HubFile(
        "facebook/VGGT-1B", "model.safetensors", "860abec7937da0a4c03c41d3c269c366e82abdf9"
    ),
}


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network with its weights, ready on a device.

    Attributes:
        name: preset, or the file's name.
        network: in eval mode, without gradients.
        causal: whether the weights are meant for streaming.
        input_width: pixels that pictures are resized to.
        device: where it runs.
        note: one sentence for people: what these weights are.
        cameras_hold: whether frames line up over a whole clip (see the model card).
    """

    name: str
    network: VGGT
    causal: bool
    input_width: int
    device: Device
    note: str
    cameras_hold: bool

    @property
    def num_threads(self) -> int:
        """Of a CPU, that a step is computed with."""
        return enough_threads(self.device, self.network.config.embed_dim)

    @property
    def tracks_points(self) -> bool:
        """Whether the weights have a track head."""
        return self.network.track_head is not None

    @property
    def num_bytes(self) -> int:
        """Of its weights as they are computed with."""
        return sum(tensor.nbytes for tensor in self.network.state_dict().values())

    @cached_property
    def sha256(self) -> str:
        """Of its weights as they are computed with, in the order of their names."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def outline(self) -> LoadedModel:
        """All that is known of it, without the weights: for processes that do not compute."""
        with torch.device("meta"):
            network = VGGT(self.network.config)
        outline = replace(self, network=network.eval().requires_grad_(False))
        outline.__dict__["sha256"] = self.sha256
        return outline


def automatic_model(device: Device) -> str:
    """The preset that `--model auto` means on this device."""
    has_room = device.free_bytes is not None and device.free_bytes >= ROOM_FOR_1B
    return "streamvggt-1b" if has_room else "embedded"


def chosen_model(name: str, device: Device) -> str:
    """The weights that a name means on this device."""
    return automatic_model(device) if name == AUTO else name


def load_model(
    name: str,
    device: Device,
    on_bytes: Callable[[int, int], None] | None = None,
    hub_files: dict[str, HubFile] = HUB_FILES,
) -> LoadedModel:
    """Loads a preset or a local file.

    Args:
        name: a preset of `PRESETS`, or a path to .safetensors, .pt or .pth.
        device: where to.
        on_bytes: told (done, total) bytes while a file downloads.
        hub_files: where presets that are not embedded come from.

    Raises:
        CheckpointError: no such preset or file, no network, or tensors that do not fit.
    """
    if name in hub_files:
        path = download(hub_files[name], on_bytes)
        return _load(name, path, PRESETS[name], device, _NON_COMMERCIAL)
    if name in PRESETS:
        return _load(name, EMBEDDED_WEIGHTS, PRESETS[name], device, _EMBEDDED)
    path = Path(name).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f"there is no model “{name}”: choose auto, {', '.join(PRESETS)}, or a path to a "
            ".safetensors, .pt or .pth file"
        )
    return _load(path.name, path, None, device, "weights from a local file")


def download(file: HubFile, on_bytes: Callable[[int, int], None] | None = None) -> Path:
    """Fetches a pinned file into the hub's cache; an interrupted download is resumed.

    Raises:
        CheckpointError: the hub cannot be reached and the file is not cached.
    """
    try:
        path = hf_hub_download(
            file.repository,
            file.filename,
            revision=file.revision,
            tqdm_class=_reporting(on_bytes) if on_bytes else None,
        )
    except Exception as error:  # the hub's HTTP library is not ours to know
        raise CheckpointError(
            f"{file.repository}/{file.filename} is not cached and cannot be downloaded "
            f"({type(error).__name__}): check the network, pass --model PATH with a file that "
            "you have, or use --model embedded, which needs no network"
        ) from error
    return Path(path)


def _reporting(on_bytes: Callable[[int, int], None]) -> type[tqdm]:
    """A progress bar that draws nothing and reports."""

    class Reporting(tqdm):
        def __init__(self, *args, **kwargs):
            kwargs.pop("name", None)  # the hub's own extra argument
            super().__init__(*args, **{**kwargs, "disable": False, "file": _Silent()})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            on_bytes(int(self.n), int(self.total or 0))
            return shown

    return Reporting


class _Silent:
    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


def _load(name: str, path: Path, preset: Preset | None, device: Device, note: str) -> LoadedModel:
    loaded = in_passing(partial(_read, name, path, preset, device, note))
    _ = loaded.num_threads  # measured now, not in a first step
    return loaded


def _read(name: str, path: Path, preset: Preset | None, device: Device, note: str) -> LoadedModel:
    config, tensors = read_weights(path, device.torch)
    config = config or (preset.config if preset else ModelConfig())
    if preset is not None and config != preset.config:
        raise CheckpointError(f"{path.name} has other sizes than the preset {name}: update both")
    preset = preset or _preset_of(config)
    with torch.device("meta"):
        network = VGGT(config)
    _take_over(network, tensors, device, path.name)
    network.eval().requires_grad_(False)
    if not preset.causal:
        note += "; made for whole clips, streamed here all the same"
    return LoadedModel(
        name=name,
        network=network,
        causal=preset.causal,
        input_width=preset.input_width,
        device=device,
        note=note,
        cameras_hold=preset.cameras_hold,
    )


def _preset_of(config: ModelConfig) -> Preset:
    """What is assumed of a local file: the preset of its sizes, else its own position grid."""
    for preset in PRESETS.values():
        if preset.config == config:
            return preset
    return Preset(config, causal=True, input_width=config.img_size, cameras_hold=True)


def read_weights(
    path: Path, device: torch.device
) -> tuple[ModelConfig | None, Iterator[tuple[str, Tensor]]]:
    """Sizes (where the file carries them) and tensors, read one at a time.

    Raises:
        CheckpointError: the file is damaged or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                config = (file.metadata() or {}).get("config")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path.name} is not a whole safetensors file: {error}") from None
        return ModelConfig.from_json(config) if config else None, read_tensors(path, device)
    if suffix in (".pt", ".pth"):
        return None, _pickled(path)
    raise CheckpointError(f"{path.name}: weights are .safetensors, .pt or .pth files")


def _pickled(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # noqa: BLE001  # torch.load raises many kinds on a damaged file
        raise CheckpointError(
            f"{path.name} cannot be read as weights only ({type(error).__name__}): it must hold "
            "a state dict of tensors and nothing else"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError(f"{path.name} must hold a state dict of tensors and nothing else")
    yield from state.items()


def _take_over(
    network: VGGT, tensors: Iterator[tuple[str, Tensor]], device: Device, filename: str
) -> None:
    """Assigns every tensor, in its final dtype on the device; names what does not fit."""
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    state, problems = {}, []
    for name, tensor in tensors:
        if name not in wanted:
            problems.append(f"unexpected {name}")
        elif tensor.shape != wanted[name]:
            problems.append(f"{name} is {tuple(tensor.shape)}, not {tuple(wanted[name])}")
        else:
            state[name] = device.place(name, tensor)
    problems += [f"missing {name}" for name in wanted if name not in state]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" * (len(problems) > 5))
        raise CheckpointError(f"{filename} does not fit this network: {shown}")
    network.load_state_dict(state, strict=True, assign=True)
