"""ClipModel: one open_clip model behind a small frozen interface.

images ``[N, 3, H, W]`` → embeddings ``[N, D]`` (differentiable), texts → embeddings ``[P, D]``.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.attention import (
    disable_inplace,
    fold_attention,
    fold_patches,
    freeze,
    fuse_batchnorm,
)
from guidance.clip.context import cut
from guidance.clip.fingerprint import combine, has_batchnorm, tower_digest
from guidance.clip.overflow import missing, padding, tokenize
from guidance.clip.preprocess import Preprocess
from guidance.clip.prior import Prior
from guidance.conventions import check_images, check_precision
from guidance.errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class ClipModel(nn.Module):
    """A frozen CLIP: its weights never receive gradients, its images do.

    Args:
        network: an open_clip ``CLIP`` or ``CustomTextCLIP`` (or CoCa) model.
        tokenizer: texts → token ids ``[P, context_length]``.
        preprocess: belongs to the weights.
        name: as the user typed it.
        prior: text → image embedding, for `imagine`.
        precision: arithmetic of the image tower, a key of `PRECISIONS`. The text tower runs once
            a prompt and stays in float32. Weights are converted, not autocast: that is several
            times faster on a CPU.
        device: where the model runs.
    """

    network: Any  # those of open_clip and timm share no interface that a type could name

    def __init__(
        self,
        network: Any,
        tokenizer: Callable[[list[str]], Tensor],
        preprocess: Preprocess,
        *,
        name: str,
        prior: Prior | None = None,
        precision: str = "fp32",
        device: torch.device | str = "cpu",
    ):
        super().__init__()
        device = torch.device(device)
        check_precision(precision, device)
        self.name = name
        self.preprocess = preprocess
        self.tokenizer = tokenizer
        self.dtype = PRECISIONS[precision]
        self.network = freeze(network)
        self.logit_scale = float(network.logit_scale.detach().exp())
        bias = getattr(network, "logit_bias", None)
        self.logit_bias = 0.0 if bias is None else float(bias.detach())
        # rounding when batch norms are folded may differ between machines, so it comes before
        self._digest = tower_digest(network.visual) if has_batchnorm(network.visual) else None
        self._channels_last = _accelerate(network)
        self.network.to(device)
        self.prior = prior.to(device) if prior else None
        network.visual.to(self.dtype)
        if self._channels_last:
            network.visual.to(memory_format=torch.channels_last)
        self._texts: dict[str, Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.network.parameters()).device

    @property
    def image_size(self) -> int:
        """Side of the square input, pixels."""
        return self.preprocess.size

    @property
    def sigmoid(self) -> bool:
        """Whether the model was trained to say of each text alone if it fits (SigLIP).

        Such models have a bias. One that is exactly 0 was not trained: open_clip gives it to
        weights that have none.
        """
        return self.logit_bias != 0

    @functools.cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for how images are embedded.

        They are those of the image tower with its projection, the preprocessing and the precision,
        and the same in any process. Two models that share them have the same image embeddings up
        to rounding; the text tower, the prior, the device and the name do not matter.
        """
        digest = self._digest or tower_digest(self.network.visual)
        return combine([digest, self.preprocess, str(self.dtype)])

    def encode_image(self, images: Tensor) -> Tensor:
        """Embed images.

        Args:
            images: ``[N, 3, H, W]`` in [0, 1], any size; resized by the model's preprocessing.

        Returns:
            ``[N, D]`` float32, unit length, differentiable in `images`.
        """
        check_images("images", images)
        features = self.network.encode_image(self.prepared(images))
        return F.normalize(features.float(), dim=-1)

    def prepared(self, images: Tensor) -> Tensor:
        """Return images in [0, 1] as the image tower takes them: size, scale, type and layout."""
        x = self.preprocess(images.to(self.device)).to(self.dtype)
        return x.contiguous(memory_format=torch.channels_last) if self._channels_last else x

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts; each distinct text is computed once.

        Warns when a text is longer than the model's context and says which words were cut.

        Returns:
            ``[P, D]`` float32, unit length.
        """
        texts = list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else ""
        if isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
            raise InputError("texts must be a list of strings")
        if not texts:
            raise InputError("texts must not be empty")
        new = [t for t in dict.fromkeys(texts) if t not in self._texts]
        new.sort(key=len)  # texts of one length need no padding
        for start in range(0, len(new), 256):
            part = new[start : start + 256]
            tokens = tokenize(self.tokenizer, part)
            for text, row in zip(part, tokens, strict=True):
                if said := missing(self.tokenizer, text, row, self._pad):
                    warnings.warn(
                        f"the prompt is longer than the {len(row)} tokens {self.name} reads; "
                        f"{said}",
                        stacklevel=3,
                    )
            with cut(self.network, tokens) as short:
                features = self.network.encode_text(short.to(self.device))
            self._texts.update(zip(part, F.normalize(features.float(), dim=-1), strict=True))
        return torch.stack([self._texts[t] for t in texts])

    def imagine(self, texts: Sequence[str]) -> Tensor:
        """Return the image embedding that a picture of each text has, says the prior.

        Without a prior these are the embeddings of the texts themselves.

        Returns:
            ``[P, D]`` float32, unit length.
        """
        embeddings = self.encode_text(texts)
        return embeddings if self.prior is None else self.prior(embeddings)

    def unread(self, text: str) -> str:
        """Say which words of `text` do not fit into the model's context; empty if all do."""
        return missing(self.tokenizer, text, tokenize(self.tokenizer, [text])[0], self._pad)

    @functools.cached_property
    def _pad(self) -> int:
        """The token that fills up short texts."""
        return padding(self.tokenizer)


def _accelerate(network: Any) -> bool:
    """Fold attention and patches, fuse batch norms; return whether the tower is convolutional."""
    fold_attention(network)
    fold_patches(network.visual)
    if fuse_batchnorm(network.visual):
        disable_inplace(network.visual)
        return True
    return False
