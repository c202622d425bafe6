"""Image embeddings → ratings: linear heads on CLIP, ours and LAION's.

``[N, D]`` unit vectors → ``[N]`` ratings, in the unit of what people were asked for (LAION's heads:
1 to 10). A head belongs to the CLIP it was trained on; `AestheticHead.check` says so.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from guidance.errors import FileError, InputError, ModelError, line
from guidance.files.writing import write
from guidance.pretrained.foreign import read_state

SUFFIXES = (".safetensors", ".pth", ".pt")
FORMAT = "guidance.aesthetic"  # in the metadata of our files, and so stays as it is
# Numbers of the linear layers inside LAION's improved predictor, whose dropouts count as well.
# Its weights "linearMSE" were trained with the activations commented out, "reluMSE" with them.
ONE, LINEAR, RELU = (0,), (0, 2, 4, 6, 7), (0, 3, 6, 9, 11)
LAION = {768: "ViT-L-14/openai", 512: "ViT-B-32/openai"}  # what its heads read, by length


@dataclass(frozen=True)
class AestheticHead:
    """What turns embeddings into ratings.

    Attributes:
        layers: weight ``[out, in]`` and bias ``[out]`` of each linear layer, float32; the last
            one has one output.
        relu: a rectifier follows each layer but the last.
        clip: name of the CLIP it was trained on, empty if unknown.
        fingerprint: of that CLIP's weights, empty if unknown.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    relu: bool = False
    clip: str = ""
    fingerprint: str = ""

    @property
    def dim(self) -> int:
        """Length of the embeddings it reads."""
        return self.layers[0][0].shape[1]

    @torch.no_grad()
    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the ratings ``[N]`` float64 of unit vectors ``[N, D]``.

        Raises:
            InputError: the vectors have another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise InputError(
                f"embeddings must have shape [N, {self.dim}] but have {list(vectors.shape)}"
            )
        x = vectors.cpu().double()
        for number, (weight, bias) in enumerate(self.layers):
            x = (x.relu() if self.relu and number else x) @ weight.double().T + bias.double()
        return x[:, 0]

    def check(self, dim: int, clip: str, fingerprint: str = "") -> str | None:
        """Return a warning if embeddings of `clip` may not be what the head was trained on.

        Args:
            dim: length of the embeddings.
            clip: as the user named it.
            fingerprint: of the scorer.

        Raises:
            InputError: the length is another one.
        """
        if dim != self.dim:
            own = self.clip or LAION.get(self.dim)
            hint = f"; use --clip {own}" if own else ""
            raise InputError(
                f"the aesthetic head reads embeddings of {self.dim} numbers but {clip} gives "
                f"{dim}{hint}"
            )
        if self.fingerprint and fingerprint and self.fingerprint != fingerprint:
            return (
                f"the aesthetic head was trained on other embeddings ({self.clip}) than those of "
                f"{clip}: the weights or --precision differ"
            )
        return None


def save_head(path: str | os.PathLike, head: AestheticHead) -> None:
    """Write a linear head as safetensors.

    Raises:
        InputError: the head has several layers, or `path` another suffix.
    """
    check_out(path)
    if len(head.layers) > 1:
        raise InputError("only a head of one layer can be written")
    ((weight, bias),) = head.layers
    about = {"format": FORMAT, "clip": head.clip, "fingerprint": head.fingerprint}
    tensors = {"weight": weight.float().contiguous(), "bias": bias.float().contiguous()}
    write(path, save(tensors, metadata=about))


def check_out(path: str | os.PathLike) -> None:
    """Raise `InputError` unless `path` ends as the files that `save_head` writes."""
    if Path(path).suffix.lower() != ".safetensors":
        raise InputError(f"an aesthetic head is written as .safetensors but got {str(path)!r}")


def load_head(path: str | os.PathLike) -> AestheticHead:
    """Load a head; nothing but tensors is read from the file.

    Known are ours (`save_head`), the linear layers of LAION's aesthetic-predictor
    (``sa_0_4_vit_l_14_linear.pth``), and the perceptrons of its improved-aesthetic-predictor
    (``sac+logos+ava1-l14-linearMSE.pth``, ``ava+logos-l14-reluMSE.pth``).

    Raises:
        InputError: an unknown suffix.
        FileError: there is no such file.
        ModelError: it is damaged, or no head of these kinds.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"an aesthetic head must end in {', '.join(SUFFIXES)} but is {str(path)!r}"
        )
    if not path.is_file():
        raise FileError(f"the aesthetic head {path} does not exist")
    layers, numbers = _layers(read_state(path), path)
    about = _metadata(path) if path.suffix.lower() == ".safetensors" else {}
    own = about.get("format") == FORMAT
    return AestheticHead(
        layers,
        relu=numbers == RELU,
        clip=about.get("clip", "") if own else "",
        fingerprint=about.get("fingerprint", "") if own else "",
    )


def _layers(state: dict[str, Tensor], path: Path) -> tuple[tuple, tuple[int, ...]]:
    """Return weights and biases in order, and the numbers of the layers in the network."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"(?:\w+\.)*?(?:(\d+)\.)?(weight|bias)", name)
        if match is None or match[2] in found.setdefault(int(match[1] or 0), {}):
            raise ModelError(f"{path} is no aesthetic head: it holds {name!r}")
        # copies, because read_state may have mapped the file
        found[int(match[1] or 0)][match[2]] = tensor.detach().float().clone()
    numbers = tuple(sorted(found))
    if numbers not in (ONE, LINEAR, RELU) or not all(len(pair) == 2 for pair in found.values()):
        raise ModelError(f"{path} is no aesthetic head: its layers are {list(numbers)}")
    layers = tuple((found[n]["weight"], found[n]["bias"]) for n in numbers)
    width = layers[0][0].shape[-1]
    for weight, bias in layers:
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or weight.shape[1] != width:
            raise ModelError(f"{path} is no aesthetic head: its layers do not fit each other")
        width = len(weight)
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise ModelError(f"{path} is damaged: it holds values that are not finite")
    if width != 1:
        raise ModelError(f"{path} is no aesthetic head: it gives {width} numbers an image")
    return layers, numbers


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except Exception as error:  # safetensors' errors share no base with Python's
        raise ModelError(f"{path} is not a readable checkpoint: {line(error)}") from error
