"""CLIP names, as users write them, checked without loading anything.

=================================  ==============================================================
``mini``                           ours, shipped inside the package (the default; works offline)
``ViT-B-32/laion2b_s34b_b79k``     any open_clip architecture and tag, from the hub or its cache
``ViT-B/32``, ``RN50``             OpenAI's own names, the same as ``ViT-B-32/openai``
``ViT-B-32=weights/file.pt``       an architecture with weights from a local file
``ViT-B-32/openai=weights/w.pt``   the same, computed as the weights with this tag are
``path/to/folder``                 a folder with ``open_clip_config.json`` and its weights
``mini,ViT-B-32/openai:0.5``       an ensemble, optionally weighted
=================================  ==============================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guidance.clip.config import CONFIG_NAME, read_config
from guidance.clip.published import published
from guidance.clip.shipped import SHIPPED
from guidance.converting import shown
from guidance.errors import InputError, unknown

HUB = "hf-hub:"


@dataclass(frozen=True)
class ClipSpec:
    """A parsed CLIP name: of the hub (`arch`, `tag`), local (`path`, perhaps both) or mini."""

    name: str
    weight: float = 1.0
    arch: str | None = None
    tag: str | None = None
    path: Path | None = None


def parse_specs(names: str) -> tuple[ClipSpec, ...]:
    """Parse a comma-separated list of CLIP names with optional ``:weight``, and check each.

    Nothing is loaded or downloaded.

    Raises:
        InputError: an empty list, a weight that is not positive, a name that does not exist.
    """
    specs = tuple(parse_spec(part.strip()) for part in names.split(","))
    if len({s.name for s in specs}) < len(specs):
        raise InputError(f"each CLIP model may be named once but got {names!r}")
    return specs


def may_judge_alone(names: str) -> bool:
    """Return whether the models of `names` may all be trained with a sigmoid (SigLIP).

    Nothing is loaded: their configurations say if they have a bias, those of the hub later.
    """
    return all(_may_have_bias(spec) for spec in parse_specs(names))


def _may_have_bias(spec: ClipSpec) -> bool:
    import open_clip

    if spec.name in SHIPPED:
        return False
    if spec.path and not spec.arch:
        folder = spec.path if spec.path.is_dir() else spec.path.parent
        return "init_logit_bias" in read_config(folder / CONFIG_NAME)["model_cfg"]
    arch = spec.arch or ""
    config = None if arch.startswith(HUB) else open_clip.get_model_config(arch)
    return config is None or "init_logit_bias" in config


def parse_spec(text: str) -> ClipSpec:
    """Parse one CLIP name with an optional ``:weight``; see `parse_specs`."""
    name, colon, number = text.rpartition(":")
    weight = 1.0
    if colon:
        try:
            weight = float(number)
        except ValueError:
            name = text  # a Windows drive or a hub scheme
    else:
        name = text
    if not name:
        raise InputError("the CLIP model name must not be empty; the default is mini")
    if not 0 < weight < float("inf"):
        raise InputError(f"the weight of CLIP model {name!r} must be positive but is {number}")
    if name in SHIPPED:
        return ClipSpec(name, weight)
    if _is(Path.exists, name):
        return _local(name, weight)
    arch, equals, file = name.partition("=")
    if equals:
        arch, tag = _arch_and_tag(arch)
        if not _is(Path.is_file, file):
            raise InputError(_no_file(file, name))
        return ClipSpec(name, weight, arch=arch, tag=tag, path=Path(file).expanduser())
    return _hub(name, weight)


def _is(what: Callable[[Path], bool], name: str) -> bool:
    """Return what `Path.exists` and its like say; a name that no file can have is none."""
    try:
        return what(Path(name).expanduser())
    except (OSError, RuntimeError, ValueError):  # too long, an unknown user, a null byte
        return False


def _no_file(file: str, name: str) -> str:
    if _is(Path.is_dir, file):
        return f"the CLIP checkpoint {shown(file)} is a folder; name the file in it: {name}/FILE"
    exists = _is(Path.exists, file)
    return f"the CLIP checkpoint {shown(file)} " + (
        "is no regular file" if exists else "does not exist"
    )


def _local(name: str, weight: float) -> ClipSpec:
    path = Path(name).expanduser()
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIG_NAME).is_file():
        file = name.rstrip("/") + "/FILE" if path.is_dir() else name
        raise InputError(
            f"{name!r} has no {CONFIG_NAME} {'in' if path.is_dir() else 'beside'} it; "
            f"name its architecture: --clip ViT-B-32={file}"
        )
    return ClipSpec(name, weight, path=path)


def _openai(name: str) -> str | None:
    """Return open_clip's name of the architecture that OpenAI's package calls `name`."""
    import open_clip

    arch = name.replace("@336px", "-336") if name.startswith("ViT-L/14") else name
    arch = arch.replace("/", "-")
    named = "/" in name or name.startswith("RN")
    return arch if named and arch in open_clip.list_openai_models() else None


def _check_repository(name: str) -> None:
    """Raise `InputError` unless `name` is ``hf-hub:OWNER/NAME``."""
    if not re.fullmatch(r"hf-hub:[\w-][\w.-]*/[\w-][\w.-]*", name):
        raise InputError(f"a CLIP of the hub is named hf-hub:OWNER/NAME but got {name!r}")


def _arch_and_tag(name: str) -> tuple[str, str | None]:
    """Return the architecture and the tag, if any, before the file that ``=`` assigns to them."""
    import open_clip

    known = open_clip.list_models()
    if name in known:
        return name, None
    if arch := _openai(name):
        return arch, "openai"
    arch, slash, tag = name.rpartition("/")
    if not slash or arch not in known:
        raise InputError(unknown("CLIP architecture", arch if slash else name, known))
    published(arch, tag)  # raises unless there is one
    return arch, tag


def _hub(name: str, weight: float) -> ClipSpec:
    import open_clip

    if name.startswith(HUB):
        _check_repository(name)
        return ClipSpec(name, weight, arch=name)
    if arch := _openai(name):
        return ClipSpec(name, weight, arch=arch, tag="openai")
    arch, _, tag = name.rpartition("/")
    pairs = [f"{a}/{t}" for a, t in open_clip.list_pretrained()]
    if f"{arch}/{tag}" not in pairs:
        if not arch and tag in open_clip.list_models():
            tags = [t for a, t in open_clip.list_pretrained() if a == tag]
            raise InputError(
                f"CLIP model {name!r} needs its weights' tag: "
                + (", ".join(f"{tag}/{t}" for t in tags) or f"none published; use {tag}=FILE")
            )
        if name.endswith((".pt", ".pth", ".bin", ".safetensors")):
            raise InputError(f"the CLIP checkpoint {shown(name)} does not exist")
        said = unknown("CLIP model", name, [*SHIPPED, *pairs])
        hub = name.count("/") == 1 and arch and arch not in open_clip.list_models()
        raise InputError(said + f"; a repository of the hub is named hf-hub:{name}" * bool(hub))
    return ClipSpec(name, weight, arch=arch, tag=tag)
