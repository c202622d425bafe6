"""A pretended device: tensors that say they are on "mps" and hold ordinary data of the CPU.

    with pretended("mps") as device:
        rank(pictures, "a fox", device=device.name)

Within the block the device can be named wherever PyTorch takes one. It refuses what an MPS device
refuses: float64, and tensors and generators of different devices in one operation. Each operation
on it is handed to ``device.watch``, a list of functions of its name and results.

How: a tensor subclass wraps the data and gives the device its name. Below autograd, a dispatch mode
unwraps what an operation is given and wraps what it makes; above, a function mode reads the device
that is asked for, because to PyTorch itself the wrappers are on the CPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch._dynamo  # which the modes import, and which does not like the patches below
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CPU = torch.device("cpu")
WIDE = (torch.float64, torch.complex128)
NO_FLOAT64 = (
    "Cannot convert a {} Tensor to float64 dtype as the {} framework doesn't support float64. "
    "Please use float32 instead."
)
aten = torch.ops.aten
# these may take tensors of both devices
MIXING = {"aten::_to_copy", "aten::copy_", "aten::set_", "aten::index", "aten::index_put_",
          "aten::_index_put_impl_", "aten::lift_fresh"}  # fmt: skip
_active: list[Device] = []  # the innermost is last


class Device:
    """A pretended device.

    Attributes:
        name: what it is called.
        device: the same, as PyTorch has it.
        float64: whether it has float64.
        watch: called with the name of each operation on the device and what it returned.
    """

    def __init__(self, name: str, *, float64: bool):
        self.name, self.device, self.float64 = name, torch.device(name, 0), float64
        self.watch: list[Callable[[str, Any], None]] = []
        self._asked: list[bool] = []  # whether the functions under way are on this device

    def owns(self, device: Any) -> bool:
        """Return whether a device, given as PyTorch takes it, is this one."""
        return device is not None and torch.device(device).type == self.device.type

    def wrap(self, x: Any) -> Any:
        """Put the tensor of an operation's result on the device."""
        if not isinstance(x, Tensor) or isinstance(x, Held):
            return x
        self.refuse(x.dtype)
        return Held(x)

    def refuse(self, dtype: torch.dtype | None) -> None:
        """Raise `TypeError` for what the device cannot hold."""
        if dtype in WIDE and not self.float64:
            raise TypeError(NO_FLOAT64.format(self.name.upper(), self.name.upper()))


class Held(Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Held:
        made = Tensor._make_wrapper_subclass(
            cls, data.size(), strides=data.stride(), storage_offset=data.storage_offset(),
            dtype=data.dtype, layout=data.layout, device="cpu", requires_grad=requires_grad,
        )  # fmt: skip
        made.data_held, made.on = data, _active[-1].device
        return made

    @property
    def device(self) -> torch.device:
        return self.on

    @property
    def is_cpu(self) -> bool:
        return False

    def tolist(self) -> Any:
        return self.data_held.detach().tolist()

    def numpy(self, *args: Any, **options: Any) -> Any:
        raise TypeError(f"can't convert {self.on} device type tensor to numpy. Use Tensor.cpu()")

    __array__ = numpy

    def __repr__(self, *args: Any, **options: Any) -> str:
        return f"Held({self.data_held!r}, device='{self.on}')"

    def __deepcopy__(self, memo: dict) -> Held:
        made = Held(self.data_held.detach().clone(), self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            made._is_param = True
        memo[id(self)] = made
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError(f"a tensor on {self.on} would be pickled")

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _dispatch(_active[-1], func, args, kwargs or {})


def _held(x: Any) -> Any:
    return x.data_held if isinstance(x, Held) else x


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1


def _dispatch(device: Device, func: Any, args: tuple, kwargs: dict) -> Any:
    """Run one operation on the data, and put its result where it belongs."""
    name = func._schema.name
    given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    on_device = any(isinstance(x, Held) for x in given)
    target = kwargs.get("device")
    if target is not None and torch.device(target).type == "meta":
        return func(*args, **kwargs)
    copies = name == "aten::_to_copy"
    if target is None:
        there = isinstance(args[0], Held) if name == "aten::copy_" else on_device
    else:
        # what PyTorch makes on its own for a wrapper is meant for where the wrapper says it is
        unasked = not copies and (_in_backward() or any(device._asked[-1:]))
        there = device.owns(target) or unasked
        kwargs = {**kwargs, "device": CPU}
    _check(device, name, given)
    if copies and isinstance(args[0], Held):
        device.refuse(kwargs.get("dtype"))  # MPS converts before it copies
    out = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if func._schema.is_mutable:  # what is given back is the argument itself
        same = {id(_held(x)): x for x in given}
        out = tree_map(lambda x: same.get(id(x), x) if isinstance(x, Tensor) else x, out)
    if there:
        out = tree_map(device.wrap, out)
        for watcher in device.watch:
            watcher(name, out)
    return out


def _check(device: Device, name: str, given: list[Tensor]) -> None:
    """Raise what PyTorch raises where devices are mixed."""
    kinds = {isinstance(x, Held) for x in given if isinstance(x, Held) or x.ndim}
    if len(kinds) == 2 and name not in MIXING and not _in_backward():
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, "
            f"{device.device} and cpu! ({name})"
        )


class _Dispatch(TorchDispatchMode):
    """Sees operations that no wrapped tensor takes part in: those that make new ones."""

    def __init__(self, device: Device):
        super().__init__()
        self._device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _dispatch(self._device, func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Sees what is called in Python, with the devices as they were named."""

    def __init__(self, device: Device):
        super().__init__()
        self._device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (Tensor.to, Tensor.cpu, Tensor.type_as):
            return self._to(func, args, kwargs)
        if func in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor):
            return self._made(func, args, kwargs)
        if func is Tensor.pin_memory:
            return args[0]
        flat = tree_flatten((args, kwargs))[0]
        named = kwargs.get("device")
        self._device._asked.append(named is None and any(isinstance(x, Held) for x in flat))
        try:
            out = func(*args, **kwargs)
        finally:
            self._device._asked.pop()
        generator = kwargs.get("generator")
        if generator is not None and generator.pretended != isinstance(out, Held):
            raise RuntimeError(f"Expected a generator of the tensor's device ({func.__name__})")
        return out

    def _to(self, func: Any, args: tuple, kwargs: dict) -> Tensor:
        x, *rest = args
        other = next((r for r in [*rest, kwargs.get("other")] if isinstance(r, Tensor)), None)
        form = kwargs.get("memory_format")
        if func is Tensor.cpu:
            target, dtype = CPU, None
        elif other is not None:
            target, dtype = other.device, other.dtype
        else:
            named = {k: v for k, v in kwargs.items() if k != "copy"}
            target, dtype, _, form = torch._C._nn._parse_to(*rest, **named)
        target, dtype = target or x.device, dtype or x.dtype
        if "meta" in (target.type, x.device.type):
            return func(*args, **kwargs)
        same = target.type == x.device.type
        laid = form in (None, torch.preserve_format) or x.is_contiguous(memory_format=form)
        if same and dtype == x.dtype and laid and not kwargs.get("copy"):
            return x
        options = {} if form is None else {"memory_format": form}
        return aten._to_copy.default(x, dtype=dtype, device=target, **options)

    def _made(self, func: Any, args: tuple, kwargs: dict) -> Tensor:
        """Make a tensor of data on the CPU and bring it to its device."""
        target = kwargs.pop("device", None)
        if func is Tensor.new_tensor:
            like, data = args
            target, kwargs = target or like.device, {"dtype": like.dtype, **kwargs}
            func, args = torch.tensor, (data,)
        if func is not torch.tensor and isinstance(args[0], Tensor):
            x = args[0]
            return self._to(Tensor.to, (x, target or x.device, kwargs.get("dtype") or x.dtype), {})
        made = func(*args, **kwargs)
        return made if target is None else self._to(Tensor.to, (made, target), {})


class _Generator(torch.Generator):
    """A generator of the CPU that says which device it was made for."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = super().__new__(cls, "cpu")
        made.pretended = bool(_active) and _active[-1].owns(device)
        return made


@contextlib.contextmanager
def pretended(name: str = "mps", *, float64: bool = False) -> Iterator[Device]:
    """Make a device of this name usable within the block; it must not be there in truth."""
    device = Device(name, float64=float64)
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)
    _active.append(device)
    try:
        with (
            mock.patch.object(torch, "Generator", _Generator),
            mock.patch(f"torch.backends.{name}.is_available", return_value=True),
            _Dispatch(device),
            _Functions(device),
        ):
            yield device
    finally:
        _active.pop()
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
