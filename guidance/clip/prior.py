"""Prior: text embedding → the image embedding that a picture of the text has.

The images of a CLIP lie far from their texts (the modality gap, Liang et al. 2022,
arXiv:2203.02053): a picture of a fox has a cosine of about 0.2 to "a fox" under the mini CLIP, and
going on from there makes patterns that no picture has. A prior says where the pictures are (unCLIP,
Ramesh et al. 2022, arXiv:2204.06125, section 2.2). This one looks them up: the mean image
embedding of the captions it remembers, weighted by their likeness to the text, as retrieval
stands in for a trained prior in kNN-Diffusion (Sheynin et al. 2022, arXiv:2204.02849).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.errors import ModelError

TEMPERATURE = 0.03  # cosines this much lower weigh 1/e
# memories that a picture is told apart from: the last ones, where ImageNet's classes are if known
RIVALS = 1000
OTHER = 0.6  # least cosine of two texts that may mean the same
SUFFIX = "-prior.safetensors"
# both sides of the memory are kept as int8 coefficients of a basis
SIDES = ("text", "image")


class Prior(nn.Module):
    """A memory of captions and the image embeddings of their pictures.

    Args:
        state: for each side of `SIDES`, ``SIDE.codes`` int8 ``[M, R]`` and ``SIDE.basis`` floating
            ``[R, D]``; row m of their product is the embedding of memory m, up to rounding. A text
            shorter than 1 is one that others go before.
    """

    text_codes: Tensor
    text_basis: Tensor
    image_codes: Tensor
    image_basis: Tensor

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        for side in SIDES:
            for part in ("codes", "basis"):
                self.register_buffer(f"{side}_{part}", state[f"{side}.{part}"])

    @property
    def dim(self) -> int:
        """Length of the embeddings."""
        return self.text_basis.shape[1]

    @property
    def centre(self) -> Tensor:
        """The mean of the image embeddings, ``[D]``; shorter than 1."""
        return self.image_codes.float().mean(0) @ self.image_basis.float()

    @torch.no_grad()
    def forward(self, texts: Tensor) -> Tensor:
        """Return the unit image embeddings ``[P, D]`` for unit text embeddings ``[P, D]``."""
        likeness = (texts @ self.text_basis.float().T) @ self.text_codes.float().T
        weights = (likeness / TEMPERATURE).softmax(-1)
        return F.normalize((weights @ self.image_codes.float()) @ self.image_basis.float(), dim=-1)

    @torch.no_grad()
    def rivals(self, text: Tensor) -> Tensor:
        """Return unit image embeddings of other things than `text` ``[D]``: ``[M, D]``."""
        images = self.image_codes[-RIVALS:].float() @ self.image_basis.float()
        named = self.text_codes[-RIVALS:].float() @ self.text_basis.float()
        return F.normalize(images[F.normalize(named, dim=-1) @ text < OTHER], dim=-1)


def remember(texts: Tensor, images: Tensor, rank: int) -> dict[str, Tensor]:
    """Return the state of a `Prior` that remembers pairs of embeddings, both ``[M, D]``.

    Each side keeps its first `rank` principal directions (without centring), rounded to int8.
    """
    state = {}
    for side, rows in zip(SIDES, (texts, images), strict=True):
        _, _, directions = torch.linalg.svd(rows.cpu().double(), full_matrices=False)
        basis = directions[:rank].float().to(rows.device)
        codes = rows.float() @ basis.T
        scale = codes.abs().amax(0).clamp(min=1e-12) / 127
        state[f"{side}.codes"] = (codes / scale).round().to(torch.int8).contiguous()
        state[f"{side}.basis"] = (basis * scale[:, None]).half().contiguous()
    return state


def prior_file(weights: Path) -> Path:
    """Return where the prior of a weights file lies: ``NAME-prior.safetensors`` beside it."""
    return weights.with_name(weights.stem + SUFFIX)


def load_prior(path: Path) -> Prior | None:
    """Read a prior, or return None if there is no such file.

    Raises:
        ModelError: the file is damaged or not a prior.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        return None
    try:
        state = load_file(path)
        pairs, dims = zip(*(_shape(state, side) for side in SIDES), strict=True)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ModelError(f"{path} is not a readable prior: {error}") from error
    if len(set(pairs)) > 1 or len(set(dims)) > 1:
        raise ModelError(f"{path} is not a prior: its texts and images do not match")
    return Prior(state)


def _shape(state: dict[str, Tensor], side: str) -> tuple[int, int]:
    """Return the number and length of the embeddings on `side`."""
    (pairs, rank), (rows, dim) = state[f"{side}.codes"].shape, state[f"{side}.basis"].shape
    if rank != rows or not pairs:
        raise ValueError(f"codes of length {rank} for a basis of {rows} rows, {pairs} pairs")
    return pairs, dim
