"""Array conventions of the package and the checks that enforce them at public boundaries.

Images        float32 ``[B, 3, H, W]``, RGB, sRGB-encoded, range [0, 1]. What is scored is saved.
Embeddings    ``[N, D]``, unit length. Similarity is the cosine, in [-1, 1].
Loss          a scalar, lower is better.
Coordinates   normalised canvas coordinates in [0, 1]², x right, y down; a stroke width is a
              fraction of the canvas' shorter side.
Randomness    only through an explicit `torch.Generator`; device and dtype only as arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from guidance.errors import InputError, line, nearest

if TYPE_CHECKING:  # it takes seconds, and most of what is checked here needs none of it
    import torch
    from torch import Tensor

MIN_SIDE, MAX_SIDE = 8, 8192  # pixels; a square of this side is 800 MB in float32
MAX_SEED = 2**63 - 1
PRECISIONS = ("fp32", "bf16", "fp16")


def check_shape(name: str, x: Tensor, shape: Sequence[str | int]) -> None:
    """Raise `InputError` unless `x` has `shape`; a string entry stands for any length.

    Example:
        >>> import torch
        >>> check_shape("images", torch.zeros(2, 3, 8, 8), ["B", 3, "H", "W"])
    """
    from torch import Tensor

    if not isinstance(x, Tensor):
        raise InputError(
            f"{name} must be a tensor of shape {_text(shape)} but is {type(x).__name__}"
        )
    fits = x.ndim == len(shape) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, x.shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name} must have shape {_text(shape)} but has {list(x.shape)}")


def check_images(name: str, x: Tensor) -> None:
    """Raise `InputError` unless `x` is a floating-point image batch ``[B, 3, H, W]``.

    The value range is not checked: it would cost a device synchronisation per call, and an image
    under optimisation may overshoot [0, 1] slightly.
    """
    check_shape(name, x, ["B", 3, "H", "W"])
    if not x.is_floating_point():
        raise InputError(f"{name} must be floating point in [0, 1] but is {x.dtype}")
    if 0 in x.shape:
        raise InputError(f"{name} must not be empty but has shape {list(x.shape)}")


def check_size(name: str, side: int) -> None:
    """Raise `InputError` unless `side` is a canvas side this package can work with, in pixels."""
    if not isinstance(side, int) or not MIN_SIDE <= side <= MAX_SIDE:
        raise InputError(f"{name} must be between {MIN_SIDE} and {MAX_SIDE} pixels but is {side}")


def check_range(
    name: str,
    value: float,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    above: bool = False,
) -> None:
    """Raise `InputError` unless ``low <= value <= high`` (``low < value`` if `above`)."""
    inside = (low < value if above else low <= value) and value <= high
    if not inside:  # NaN lands here too
        left = f"greater than {_number(low)}" if above else f"at least {_number(low)}"
        right = "" if high == float("inf") else f" and at most {_number(high)}"
        raise InputError(f"{name} must be {left}{right} but is {value}")


def check_count(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise `InputError` unless `value` is a whole number with ``low <= value <= high``."""
    if not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number but is {value!r}")
    check_range(name, value, low, float("inf") if high is None else high)


def make_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a `torch.Generator` on `device` seeded with `seed` (0 to 2^63 - 1)."""
    import torch

    if not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed must be between 0 and {MAX_SEED} but is {seed}")
    return torch.Generator(device=device).manual_seed(seed)


def derive_seed(seed: int, *parts: int | str) -> int:
    """Return a seed that depends on `seed` and `parts` only, e.g. on the step and the purpose.

    Loops draw their random numbers from per-step seeds rather than from one long stream, so a
    resumed run needs no generator state to continue exactly.
    """
    digest = hashlib.blake2b("/".join(map(str, (seed, *parts))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") & MAX_SEED


def check_device(name: str) -> None:
    """Raise `InputError` unless `name` is a device that is present.

    PyTorch is imported only to look for a GPU.
    """
    _check_device_name(name)
    if name not in ("auto", "cpu"):
        resolve_device(name)


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; ``"auto"`` means CUDA, then MPS, then CPU.

    Raises:
        InputError: the name is not a device or the device is not present.
    """
    _check_device_name(name)
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        reason = _absence(device)
        if reason is None:
            torch.empty(0, device=device)
            return device
    except (RuntimeError, AssertionError) as error:
        reason = line(error)
    raise InputError(f"device {name!r} is not there: {reason}; auto takes what there is")


def check_precision(precision: str, device: torch.device) -> None:
    """Raise `InputError` unless `precision` is known and networks run in it on `device`."""
    if precision not in PRECISIONS:
        raise InputError(f"precision must be {', '.join(PRECISIONS)} but is {precision!r}")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision fp16 needs a GPU; on the CPU use fp32 or bf16")


def _check_device_name(name: str) -> None:
    """Raise `InputError` unless `name` is one that devices have."""
    if not isinstance(name, str) or not re.fullmatch(r"auto|(cpu|mps|cuda)(:[0-9]{1,3})?", name):
        hint = nearest(f"{name}", ("auto", "cpu", "mps", "cuda"), n=1)
        raise InputError(f"device must be auto, cpu, mps, cuda or cuda:N but is {name!r}{hint}")


def _absence(device: torch.device) -> str | None:
    """Return why a device cannot be there, None if it can."""
    import torch

    index = device.index or 0
    if device.type == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            return f"this torch ({torch.__version__}) is built for CPUs, without CUDA"
        if not torch.cuda.is_available():
            return "torch finds no GPU, or its driver is missing or too old"
        if index >= (count := torch.cuda.device_count()):
            return (
                f"the GPUs are cuda:0 to cuda:{count - 1}" if count > 1 else "there is only cuda:0"
            )
    elif device.type == "mps" and not torch.backends.mps.is_available():
        return "mps is for Apple's GPUs, and torch finds none"
    return f"there is only {device.type}" if device.type != "cuda" and index else None


def _number(value: float) -> str:
    """Return a bound as people write it: whole numbers with all their digits."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def _text(shape: Sequence[str | int]) -> str:
    return "[" + ", ".join(str(s) for s in shape) + "]"
