"""A folder → its dVAE: one that `guidance.train.vqgan` has written, or OpenAI's two pickles.

================================  =================================================================
``config.json, dvae.safetensors``  ours
``encoder.pkl, decoder.pkl``       OpenAI's, from https://cdn.openai.com/dall-e/ (each 200 MB); they
                                   are pickled modules of the package dall_e and are read without it
================================  =================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from guidance.errors import ModelError
from guidance.files.writing import atomic, make_folder, write
from guidance.models.dvae import Dvae
from guidance.models.dvae_config import DECODER, ENCODER, WEIGHTS, DvaeConfig, has_pickles, parse
from guidance.models.folder import CONFIG, read_json
from guidance.models.weights_fit import faults
from guidance.pretrained.foreign import read_state
from guidance.pretrained.modules import read_module

SOURCE = "https://cdn.openai.com/dall-e/"
_CLASSES = (
    "dall_e.encoder.Encoder",
    "dall_e.encoder.EncoderBlock",
    "dall_e.decoder.Decoder",
    "dall_e.decoder.DecoderBlock",
    "dall_e.utils.Conv2d",
)
_OWN = {"weight": "w", "bias": "b"}  # how our convolutions' tensors are called there


def load_dvae(folder: str | Path) -> Dvae:
    """Load a dVAE, on the CPU in float32.

    Raises:
        FileError: a file does not exist or cannot be read.
        InputError: the config is not one of a dVAE.
        ModelError: weights are damaged, incomplete or too many, or need code to be read; the
            message names file and entries.
    """
    folder = Path(folder)
    if has_pickles(folder):
        return _published(folder)
    config = parse(read_json(folder / CONFIG), folder / CONFIG)
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        network = Dvae(config, str(folder))
    path = folder / WEIGHTS
    _fill(network, read_state(path), {name: name for name in network.state_dict()}, path)
    return network.eval()


def save_dvae(config: DvaeConfig, state: Mapping[str, Tensor], folder: Path) -> None:
    """Write a folder that `load_dvae` takes."""
    import json

    from safetensors.torch import save_file

    make_folder(folder)
    write(folder / CONFIG, json.dumps(config.content(), indent=2) + "\n")
    with atomic(folder / WEIGHTS) as path:
        save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, path)


def _published(folder: Path) -> Dvae:
    halves = {}
    for file in (ENCODER, DECODER):
        if not (folder / file).is_file():
            other = DECODER if file == ENCODER else ENCODER
            raise ModelError(f"{folder} holds {other} but not {file}, which is at {SOURCE}{file}")
        halves[file] = read_module(folder / file, _CLASSES)
    config = _infer(halves, folder)
    with torch.device("meta"):
        network = Dvae(config, str(folder))
    for file, half in ((ENCODER, network.encoder), (DECODER, network.decoder)):
        _fill(
            half, halves[file], {name: _theirs(name) for name in half.state_dict()}, folder / file
        )
    return network.eval()


def _theirs(name: str) -> str:
    """Return the name that the package dall_e has for one of ours."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_OWN[last]}"


def _infer(halves: Mapping[str, Mapping[str, Tensor]], folder: Path) -> DvaeConfig:
    """Return the sizes that the shapes of both halves tell."""

    def shape(file: str, name: str) -> torch.Size:
        value = halves[file].get(name)
        if value is None or value.ndim != 4:
            said = f"it lacks {name}" if value is None else f"its {name} is no convolution"
            raise ModelError(f"{folder / file} is not that half of a dVAE: {said}")
        return value.shape

    width, codes = shape(ENCODER, "blocks.input.w")[0], shape(ENCODER, "blocks.output.conv.w")[0]
    entry, taken = shape(DECODER, "blocks.input.w")[:2]
    if taken != codes:
        raise ModelError(
            f"{folder} holds halves of two models: {ENCODER} has {codes} codes, {DECODER} {taken}"
        )
    found = [re.match(r"blocks\.group_([0-9]+)\.block_([0-9]+)\.", n) for n in halves[ENCODER]]
    groups, blocks = ({int(m[i]) for m in found if m} or {1} for i in (1, 2))
    # counted, not the largest, which a bad file may set at will
    config = DvaeConfig(codes, width, len(groups), len(blocks), entry)
    return parse(config.content(), folder)


def _fill(
    network: nn.Module, state: Mapping[str, Tensor], names: Mapping[str, str], path: Path
) -> None:
    """Give a network the tensors of a file, by name in the network → name in the file."""
    own = network.state_dict()
    wanted = {names[name]: tuple(value.shape) for name, value in own.items()}
    if wrong := faults(wanted, state):
        raise ModelError(f"{path} does not fit its architecture: it {'; it '.join(wrong)}")
    # copied, since a file may be mapped
    weights = {ours: state[names[ours]].to(torch.float32, copy=True).contiguous() for ours in own}
    network.load_state_dict(weights, assign=True)
