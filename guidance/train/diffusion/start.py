"""The weights of another run, or the shipped ones → the start of a diffusion training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from guidance.errors import InputError
from guidance.models import mini_diffusion as mini
from guidance.models.latent_unet import SIDES, LatentUNet
from guidance.models.weights_fit import faults
from guidance.train.diffusion.options import SHIPPED, DiffusionTraining
from guidance.train.loop import checkpoint

TOLD = "unet.class_embedding.linear_1.weight"  # takes the condition, and the size as last column
LISTED = 8  # weights named in the log
STRANGE = 1.5  # how often too large or too small latents may seem to a network that knows them


def start(
    network: LatentUNet, given: DiffusionTraining, latents: Tensor, *, upsampler: bool
) -> None:
    """Give a network, which has the statistics of the data, the weights that ``--init`` names.

    Warns if ``latents [N, C, h, w]`` of the data are of another scale than those it has learned.

    Raises:
        FileError: the weights cannot be read.
        InputError: they do not fit, and are not to be taken partly.
    """
    state: dict[str, Tensor] = {}
    if given.init == SHIPPED:
        state = mini.weights(mini.UPSAMPLER if upsampler else mini.BASE)
    elif given.init is not None:
        failure = "init: {} holds no weights of a diffusion model"
        device = network.latent_mean.device
        checkpoint.restore(given.init, device, lambda s: state.update(s["averaged"]), failure)
    fill(network, state, given)
    rms = float(network.normalise(latents.to(network.latent_mean)).pow(2).mean().sqrt())
    if not 1 / STRANGE < rms < STRANGE:
        warnings.warn(
            f"init: {given.init} knows latents of another scale (these are {rms:.2g} times as "
            "large); --measure takes the statistics of --data",
            stacklevel=2,
        )


def fill(network: LatentUNet, state: Mapping[str, Tensor], given: DiffusionTraining) -> None:
    """Take what `state` has for `network`; say what stays as it was drawn at random."""
    own = network.state_dict()
    state = _told_alike(state, own[TOLD].shape[1])
    if given.measure:
        state |= {k: own[k] for k in own if k.startswith(SIDES)}
    failing = faults({k: tuple(v.shape) for k, v in own.items()}, state)
    if failing and not given.init_partly:
        raise InputError(
            f"init: {given.init} does not fit the architecture: it {' and '.join(failing)}; "
            "--init-partly takes what fits"
        )
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(own | fitting)  # half precision is converted
    fresh = [k for k in own if k not in fitting]
    if fresh:
        more = f" and {len(fresh) - LISTED} more" if len(fresh) > LISTED else ""
        told = f"init: {len(fitting)} of {len(own)} tensors are taken; new are "
        print(told + ", ".join(fresh[:LISTED]) + more, flush=True)


def _told_alike(state: Mapping[str, Tensor], columns: int) -> dict[str, Tensor]:
    """Return weights of a network that is told sizes if the one with so many `columns` is.

    A column of zeros changes nothing; and for sharp pictures, of size 1, none is as good as any.
    """
    weight = state.get(TOLD)
    if weight is None or weight.shape[1] // 2 != columns // 2:  # embeddings of another length
        return dict(state)
    return {**state, TOLD: F.pad(weight, (0, columns - weight.shape[1]))}
