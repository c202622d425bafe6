"""Embeddings of many texts on disk: found again, by the right model, and never wrong."""

import json
import os
import threading
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_clip import build_tiny

from guidance.clip import load_clip, text_cache
from guidance.clip.text_cache import LEAST, encode_text, fingerprint

TEXTS = [f"a fox with {n} tails" for n in range(LEAST + 4)]
OTHERS = [f"an owl of {n} feathers" for n in range(LEAST)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GUIDANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a function: a freshly loaded tiny model, which has seen no text."""
    path = build_tiny(tmp_path_factory.mktemp("clip") / "tiny")
    return lambda: load_clip(str(path))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def poison(path: Path) -> None:
    """Let the first vector of a file be 7 throughout, with the right checksum."""
    with safe_open(path, "pt") as file:
        keys, vectors = file.get_tensor("keys"), file.get_tensor("vectors")
    vectors[0] = 7
    save_file(
        {"keys": keys, "vectors": vectors},
        path,
        metadata={"blake2b": text_cache._checksum(keys, vectors)},
    )


def test_the_second_time_they_come_from_the_disk(models, folder):
    expected = models().encode_text(TEXTS)
    assert torch.equal(encode_text(models(), TEXTS), expected)
    (path,) = files(folder)
    assert torch.equal(encode_text(models(), TEXTS[::-1]), expected.flip(0))
    assert files(folder) == [path]
    poison(path)  # nothing but reading can give this
    assert encode_text(models(), [*TEXTS, TEXTS[0]])[[0, -1]].eq(7).all()


def test_few_texts_and_no_cache_leave_no_trace(models, folder):
    encode_text(models(), TEXTS[: LEAST - 1] * 2)
    encode_text(models(), TEXTS, cache=False)
    assert not folder.exists()


def test_only_what_is_new_is_embedded_and_many_new_are_kept(models, folder):
    expected = models().encode_text([*OTHERS, *TEXTS])
    encode_text(models(), TEXTS)
    encode_text(models(), [*TEXTS, *OTHERS[:9]])
    assert len(files(folder)) == 1
    got = encode_text(models(), [*OTHERS, *TEXTS])
    assert torch.allclose(got, expected, atol=1e-6)  # the last bits depend on the batch
    assert len(files(folder)) == 2


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_reported_and_made_again(models, folder, how):
    expected = encode_text(models(), TEXTS)
    (path,) = files(folder)
    good = path.read_bytes()
    bad = bytearray(good)
    bad[-100] ^= 4
    content = {"flip": bytes(bad), "cut": good[:-100], "empty": b"", "text": b"no tensors here"}
    path.write_bytes(content[how])
    with pytest.warns(UserWarning, match="is damaged .* it is made again"):
        assert torch.equal(encode_text(models(), TEXTS), expected)
    assert path.read_bytes() == good


def test_the_fingerprint_is_that_of_the_text_tower(models):
    one, other = models(), models()
    assert fingerprint(one) == fingerprint(other)
    with torch.no_grad():
        next(iter(other.network.visual.parameters())).add_(1)
    assert fingerprint(one) == fingerprint(other)
    with torch.no_grad():
        other.network.token_embedding.weight[5].add_(1)
    assert fingerprint(one) != fingerprint(other)


def test_the_same_weights_used_otherwise_share_nothing(tmp_path):
    folder = build_tiny(tmp_path / "tiny")
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    found = {fingerprint(load_clip(str(folder)))}
    for change in ({"quick_gelu": True}, {"no_causal_mask": True}, {"heads": 4}):
        other = json.loads(json.dumps(config))
        at = other["model_cfg"] if "quick_gelu" in change else other["model_cfg"]["text_cfg"]
        at.update(change)
        file.write_text(json.dumps(other))
        found.add(fingerprint(load_clip(str(folder))))
    assert len(found) == 4


def test_two_models_do_not_share(models, folder, tmp_path):
    encode_text(models(), TEXTS)
    other = load_clip(str(build_tiny(tmp_path / "other", seed=1)))
    assert torch.equal(encode_text(other, TEXTS), other.encode_text(TEXTS))
    assert len({path.parent for path in files(folder)}) == 2


def test_writers_at_once_end_in_one_good_file(models, folder):
    loaded = [models() for _ in range(4)]
    threads = [threading.Thread(target=encode_text, args=(m, TEXTS)) for m in loaded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files(folder)) == 1
    assert torch.equal(encode_text(models(), TEXTS), loaded[0].encode_text(TEXTS))


def test_a_cache_that_cannot_be_written_is_told_and_does_no_harm(models, folder):
    folder.write_text("a file")
    with pytest.warns(UserWarning, match="are not kept: cannot write to the folder"):
        got = encode_text(models(), TEXTS)
    assert torch.equal(got, models().encode_text(TEXTS))


def test_the_files_unused_for_longest_make_room(models, folder, monkeypatch):
    more = [f"text {n}" for n in range(LEAST)]
    for place, texts in enumerate((TEXTS, OTHERS)):
        encode_text(models(), texts)
        newest = max(files(folder), key=lambda p: p.stat().st_mtime_ns)
        os.utime(newest, (1000 + place, 1000 + place))
    encode_text(models(), TEXTS)  # used again
    used = max(files(folder), key=lambda p: p.stat().st_mtime_ns)
    monkeypatch.setattr(text_cache, "MOST_BYTES", 2 * used.stat().st_size + 1000)
    encode_text(models(), more)
    assert used in files(folder)
    assert len(files(folder)) == 2


def test_where_it_lies(monkeypatch, tmp_path):
    assert text_cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("GUIDANCE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert text_cache.folder() == Path("/x/guidance")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert text_cache.folder() == Path.home() / ".cache" / "guidance"


def test_wrong_texts_are_refused_as_without_a_cache(models):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wrong in ("a fox", [1] * LEAST, []):
            with pytest.raises(ValueError, match="texts must"):
                encode_text(models(), wrong)
