"""Hostile CLIPs: changed archives, configurations and tokenizers load or end in one line."""

import json
import random
import shutil
import time
import warnings
import zipfile

import open_clip
import pytest
import torch
from hub_cache import write_tokenizer
from openai_files import write_archive
from systems import PATIENCE
from tiny_clip import TINY

from guidance.clip.registry import load_network
from guidance.errors import GuidanceError
from guidance.pretrained.foreign import read_state

MOST_SECONDS = 2 * PATIENCE
VALUES = (None, True, -1, 0, 1, 7, 1e9, 1e400, float("nan"), 2**70, "", "x", "../x", "a" * 10**5,
          "hf-hub:a/b", "local-dir:.", "/etc/passwd", [], {}, [1] * 100, [[1]], {"a": 1}, "\ud800",
          {"trust_remote_code": True}, {"bpe_path": "/dev/zero"}, {"eps": "x"})  # fmt: skip


def refused(call) -> bool:
    """Return whether `call` ends in an error of the package, of one line and in time."""
    start, told = time.process_time(), None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except GuidanceError as error:
        told = str(error)
    if told is None:
        return False
    assert "\n" not in told
    assert time.process_time() - start < MOST_SECONDS
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a CLIP with OpenAI's archive, a configuration and a tokenizer of its own."""
    torch.manual_seed(0)
    path = write_tokenizer(tmp_path_factory.mktemp("hostile") / "clip")
    config = json.loads(json.dumps(TINY))
    config["model_cfg"]["text_cfg"] |= {"vocab_size": 64, "hf_tokenizer_name": "a/b"}
    network = dict(config["model_cfg"], text_cfg=dict(config["model_cfg"]["text_cfg"]))
    write_archive(open_clip.CLIP(**network), path / "tiny.pt")
    (path / "open_clip_config.json").write_text(json.dumps(config))
    return path


def changed(rng: random.Random, content: bytes) -> bytes:
    """Return `content` with some bytes changed, cut out or put in twice."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        i, n = rng.randrange(len(content)), rng.randrange(1, 40)
        match rng.randrange(4):
            case 0:
                content[i] = rng.randrange(256)
            case 1:
                del content[i : i + n]
            case 2:
                content[i:i] = content[i : i + n]
            case _:
                content[i : i + n] = rng.randbytes(n)
        content = content or bytearray(b".")
    return bytes(content)


def test_archives(folder, tmp_path):
    rng, path = random.Random(0), tmp_path / "a.pt"
    with zipfile.ZipFile(folder / "tiny.pt") as file:
        entries = {i: file.read(i) for i in file.infolist() if "/code/" not in i.filename}
    whole = (folder / "tiny.pt").read_bytes()
    count = 0
    for turn in range(300):
        if turn % 4 == 3:
            path.write_bytes(changed(rng, whole))
        else:
            with zipfile.ZipFile(path, "w") as file:
                for info, content in entries.items():
                    tree = info.filename.endswith("data.pkl")
                    file.writestr(info.filename, changed(rng, content) if tree else content)
        count += refused(lambda: read_state(path))
    assert 100 < count < 300


def places(value, path=()):
    """Return the paths of all values in nested tables."""
    found = [path] if path else []
    for key, inner in value.items() if isinstance(value, dict) else ():
        found += places(inner, (*path, key))
    return found


def edited(rng: random.Random, content: dict, names: tuple[str, ...]) -> dict:
    """Return `content` with one value changed, removed or added."""
    content = json.loads(json.dumps(content))
    *parents, last = rng.choice(places(content))
    table = content
    for key in parents:
        table = table[key]
    match rng.randrange(3):
        case 0:
            table[last] = rng.choice(VALUES)
        case 1:
            del table[last]
        case _:
            table[rng.choice(names)] = rng.choice(VALUES)
    return content


@pytest.mark.parametrize(
    ("name", "names"),
    [
        (
            "open_clip_config.json",
            ("quick_gelu", "custom_text", "timm_model_name", "timm_pool", "hf_model_name",
             "tokenizer_kwargs", "tokenizer_mode", "act_kwargs", "norm_kwargs", "pool_type",
             "multimodal_cfg", "attentional_pool", "mlp_ratio", "head_width", "cast_dtype",
             "pos_embed_type", "embed_cls", "size", "fill_color"),
        ),
        (
            "tokenizer_config.json",
            ("auto_map", "tokenizer_class", "vocab_file", "tokenizer_file", "model_max_length",
             "added_tokens_decoder", "extra_special_tokens", "padding_side", "chat_template"),
        ),
    ],
)  # fmt: skip
def test_configurations(folder, tmp_path, name, names):
    path = shutil.copytree(folder, tmp_path / "clip")
    rng, content = random.Random(1), json.loads((folder / name).read_text())
    assert not refused(lambda: load_network(str(path)))
    count = 0
    for _ in range(120):
        (path / name).write_text(json.dumps(edited(rng, content, names)))
        count += refused(lambda: load_network(str(path)))
    assert 20 < count < 120
