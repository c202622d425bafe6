"""Checkpoints of runs, changed in every part: refused in one line, or as good as they were."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from systems import PATIENCE

from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.options import from_table
from guidance.errors import CheckpointError, DivergedError
from guidance.objective.regularisers import Smoothness
from guidance.step import checkpoint
from guidance.step.generator import Generator
from guidance.step.loop import run

SECONDS = 2.0 * PATIENCE  # of CPU time to refuse one
CHECKPOINTS, DEEP = 120, 100_000


def generator() -> Generator:
    """Return the drawing of the checkpoints."""
    table = {"prompt": "a fox", "strokes": 3, "size": "16", "render_size": 16}
    return CLIPDRAW.build(
        from_table(type(CLIPDRAW.options(prompt="x")), table, "t"), torch.device("cpu")
    )


Content = tuple[dict[str, torch.Tensor], dict[str, str]]
PLAIN = ["", "-1", "1.5", "nan", "1e9", "99999999999999999999", "٣", "0x1", "null", "[]", "{}", "3",
         '"a"', "true", "[" * DEEP, '{"a":' * DEEP, "9" * 9999, '{"x": {}}',
         '{"0": {"step": "a"}}',
         '{"99": {"a": 1}}', '{"-1": {"exp_avg": []}}', "NaN", '{"0": []}']  # fmt: skip
GROUP_VALUES = [None, True, -1, 0, 1e308, float("nan"), "a", [], [0.9], [1, 1], [[]], {}, 10**30]


def metadata(content: Content, rng: random.Random) -> None:
    """Change what is no tensor."""
    _, plain = content
    name = rng.choice(["step", "step", "groups", "plain", "format", "fingerprint"])
    if rng.random() < 0.1:
        plain.pop(name)
    else:
        plain[name] = rng.choice(PLAIN)


def groups(content: Content, rng: random.Random) -> None:
    """Change what the optimiser is told."""
    _, plain = content
    table = json.loads(plain["groups"])
    group = rng.choice(table)
    key = rng.choice(list(group))
    if rng.random() < 0.15:
        del group[key]
    elif rng.random() < 0.1:
        table.append(group)
    else:
        group[key] = rng.choice(GROUP_VALUES)
    plain["groups"] = json.dumps(table)


def values(content: Content, rng: random.Random) -> None:
    """Change numbers of a tensor."""
    tensors, _ = content
    name = rng.choice(list(tensors))
    new = tensors[name].clone()
    bad = rng.choice([float("nan"), float("inf"), 1e30, -1e30, -1.0, 10.0**9, 0.0])
    if not new.is_floating_point():
        bad = rng.choice([-1, 0, 1, 2**31 - 1])
    new.view(-1)[rng.randrange(new.numel())] = bad
    if rng.random() < 0.5:
        new.fill_(bad)
    tensors[name] = new


def shapes(content: Content, rng: random.Random) -> None:
    """Change the shape, type or name of a tensor."""
    tensors, _ = content
    name = rng.choice(list(tensors))
    value = tensors.pop(name)
    kind = rng.randrange(7)
    if kind == 0:
        tensors[name] = value.reshape(-1)[: rng.randrange(value.numel() + 1)].clone()
    elif kind == 1:
        tensors[name] = value[None].repeat(2, *[1] * value.ndim)
    elif kind == 2:
        tensors[name] = value.to(rng.choice([torch.int8, torch.float64, torch.float16]))
    elif kind == 3:
        names = (
            "optimizer.x.step optimizer.7.step optimizer.0 model. a model.z optimizer.-1.exp_avg"
        )
        other = rng.choice([*names.split(), "", "optimizer.0.step.x"])
        tensors[other] = value
    elif kind == 4:
        tensors[name] = torch.zeros(3_000_000)
    elif kind == 5:
        tensors[name] = torch.zeros(0)


def letters(data: bytes, rng: random.Random) -> bytes:
    """Change bytes of the file, mostly of its header."""
    changed = bytearray(data)
    length = struct.unpack("<Q", data[:8])[0]
    for _ in range(rng.choice((1, 2, 20))):
        changed[rng.randrange(rng.choice((8, length, len(data))))] = rng.randrange(256)
    if rng.random() < 0.3:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


def written(content: Content) -> bytes:
    """Return the bytes of a file of safetensors; its own writer would refuse some of these."""
    tensors, plain = content
    header: dict[str, object] = {"__metadata__": plain}
    body = b""
    names = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL", torch.int8: "I8",
             torch.float64: "F64", torch.float16: "F16"}  # fmt: skip
    for name, value in tensors.items():
        data = value.contiguous().numpy().tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {
            "dtype": names[value.dtype],
            "shape": list(value.shape),
            "data_offsets": offsets,
        }
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def loads(path: Path, told: str) -> bool:
    """Return whether a checkpoint is taken; then the run must be able to go on."""
    second = generator()
    began = time.process_time()
    try:
        done = checkpoint.load(path, second, "options", 9)
    except CheckpointError as error:
        spent, text = time.process_time() - began, str(error)
        if spent > SECONDS or "\n" in text or str(path) not in text:
            pytest.fail(f"{spent} s {text}: {told}")
        return False
    with contextlib.suppress(DivergedError):
        for step in run(second, Smoothness(), steps=9, start=min(done, 8)):
            assert bool(step.image.isfinite().all()), told
    second.render(16, 16)
    second.artefacts()
    return True


def test_checkpoints(tmp_path):
    rng = random.Random(21)
    path = tmp_path / "checkpoint.safetensors"
    first = generator()
    list(run(first, Smoothness(), steps=2))
    checkpoint.save(path, first, 2, "options")
    whole, tensors = path.read_bytes(), {k: v.clone() for k, v in load_file(path).items()}
    length = struct.unpack("<Q", whole[:8])[0]
    plain = json.loads(whole[8 : 8 + length])["__metadata__"]
    changes: list[Callable] = [metadata, groups, groups, values, values, shapes, shapes, letters]
    taken = 0
    for number in range(CHECKPOINTS):
        change = rng.choice(changes)
        content = (dict(tensors), dict(plain))
        if change is letters:
            path.write_bytes(letters(whole, rng))
        else:
            change(content, rng)
            path.write_bytes(written(content))
        told = f"{number} {change.__name__} {path.read_bytes()[:400]!r}"
        taken += loads(path, told)
    assert taken < CHECKPOINTS * 0.6
