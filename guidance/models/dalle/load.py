"""The name of a DALL·E → what writes codes and what paints them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from guidance.clip.fingerprint import tower_digest
from guidance.clip.registry import load_clip
from guidance.errors import ModelError
from guidance.models.clip_reader import ClipReader
from guidance.models.codec import Codec, VqganCodec
from guidance.models.dalle.names import check_dalle, dalle_facts, dalle_file, is_min_dalle
from guidance.models.dalle.transformer import Transformer
from guidance.models.dalle.writer import DalleWriter
from guidance.models.latents import Latents
from guidance.models.load_latents import load_latents
from guidance.models.weights_fit import faults
from guidance.models.writer import Writer
from guidance.pretrained.eight_bit import load_weights


@dataclass(frozen=True)
class Dalle:
    """A model whole.

    Attributes:
        name: shown to people.
        writer: prompts → codes.
        codec: codes → pictures, and back.
        cfg: its usual scale of classifier-free guidance.
    """

    name: str
    writer: Writer
    codec: Codec
    cfg: float


CFG = 3.0  # usual of our own


def load_dalle(name: str, *, device: torch.device | str, precision: str = "fp32") -> Dalle:
    """Load a model by name, see `guidance.models.dalle.names`.

    Args:
        device: where it runs.
        precision: arithmetic of writing and painting: "fp32", "bf16" or "fp16".

    Raises:
        InputError, FileError: as `check_dalle`.
        ModelError: the weights are damaged or incomplete, or its VQGAN is another one by now.
    """
    check_dalle(name)
    if is_min_dalle(name):
        from guidance.models.min_dalle.load import CFG as USUAL
        from guidance.models.min_dalle.load import load_min_dalle

        return Dalle(name, *load_min_dalle(name, device=device, precision=precision), USUAL)
    facts = dalle_facts(name)
    with dalle_file(name) as path:
        network = _network(Transformer(facts.config), path, name)
    latents = load_latents(facts.vqgan, device=device, precision=precision)
    check_same(latents, facts.vqgan_digest, name)
    codec = VqganCodec(latents)
    if codec.codes != facts.config.codes:
        raise ModelError(
            f"{name} writes {facts.config.codes} codes but its VQGAN {facts.vqgan} has "
            f"{codec.codes}"
        )
    reader = ClipReader(load_clip(facts.clip, device=device), network)
    reader.device = torch.device(device)
    writer = DalleWriter(network.to(device), reader, name=name, precision=precision)
    return Dalle(name, writer, codec, CFG)


def check_same(latents: Latents, digest: str, name: str) -> None:
    """Raise `ModelError` if `latents` are not those whose codes a model has learned.

    Args:
        digest: of `vqgan_digest`; "" if it is not known.
        name: of the model, for the message.
    """
    if digest and vqgan_digest(latents) != digest:
        raise ModelError(
            f"{name} has learned the codes of another VQGAN than {latents.name} is now; train it "
            "again, or take the version that it was trained with"
        )


def vqgan_digest(latents: Latents) -> str:
    """Return what tells a VQGAN from others that have its name."""
    return tower_digest(latents.network)


def _network(network: Transformer, path: Path, name: str) -> Transformer:
    state = load_weights(path)
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    if failing := faults(wanted, state):
        raise ModelError(
            f"the weights of {name} do not fit their config: the file {' and '.join(failing)}"
        )
    network.load_state_dict(state)  # half precision is converted
    return network
