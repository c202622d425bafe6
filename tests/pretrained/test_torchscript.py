"""TorchScript archives: their tensors by name, and nothing of their program."""

import io
import os
import pickle
import zipfile

import pytest
import torch
from openai_files import MARKS, write_archive
from tiny_clip import TINY

from guidance.errors import ModelError
from guidance.pretrained.foreign import read_state
from guidance.pretrained.torchscript import is_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return an archive in OpenAI's form, and the state dict that it was made of."""
    import open_clip

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("openai") / "tiny.pt"
    return path, write_archive(open_clip.CLIP(**TINY["model_cfg"]), path)


def rewrite(source, target, change):
    """Copy a zip; `change` maps a name's last part to new bytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            last = info.filename.partition("/")[2]
            new.writestr(info.filename, change(last, content), info.compress_type)
    return target


def test_the_tensors_are_those_of_the_state_dict(archive, monkeypatch):
    path, want = archive
    monkeypatch.setattr(torch.jit, "load", None)  # would hand the program to an interpreter
    got = read_state(path)
    assert is_archive(path)
    assert sorted(got) == sorted(want)
    assert {v.dtype for v in got.values()} == {torch.float16, torch.float32, torch.int64}
    for name, value in want.items():
        assert got[name].dtype == value.dtype
        assert torch.equal(got[name], value), name
    assert {k: int(got[k]) for k in MARKS} == MARKS


def test_other_files_are_no_archives(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"PK\x03\x04 nothing")
    for name in ("a.pt", "b.pt", "missing.pt"):
        assert not is_archive(tmp_path / name)


class Touch:
    """A pickle of it runs a command when it is read by an ordinary unpickler."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_code_in_an_archive_never_runs(archive, tmp_path):
    mark = tmp_path / "ran"
    evil = pickle.dumps(Touch(mark), protocol=2)
    for part in ("data.pkl", "constants.pkl"):
        path = rewrite(archive[0], tmp_path / "bad.pt", lambda n, c, p=part: evil if n == p else c)
        if part == "data.pkl":
            with pytest.raises(
                ModelError, match="not a readable archive: it holds no named tensors"
            ):
                read_state(path)
        else:
            assert read_state(path)
        assert not mark.exists()
    # an object that hides among the tensors is passed over
    hidden = pickle.dumps(Touch(mark), protocol=2)[2:-1]  # without PROTO and STOP
    with zipfile.ZipFile(archive[0]) as file:
        tree = file.read("tiny/data.pkl")
    assert (tree[-8:-5], tree[-1:]) == (b"ubr", b".")  # the last attribute is set, then the end
    changed = tree[:-8] + b"X\x04\x00\x00\x00evil" + hidden + tree[-8:]
    path = rewrite(archive[0], tmp_path / "b.pt", lambda n, c: changed if n == "data.pkl" else c)
    assert sorted(read_state(path)) == sorted(archive[1])
    assert not mark.exists()
    pickle.loads(evil)
    assert mark.exists()


def claims(view=None, count=4, key="0", kind="FloatStorage", module="_rebuild_tensor_v2"):
    """Return a tree of one tensor, `view` (offset, size, stride) of a storage of `count`."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return obj.pid if isinstance(obj, Storage) else None

    class Storage:
        pid = ("storage", getattr(torch, kind), key, "cpu", count)

    class Module:
        pass

    Module.__module__, Module.__qualname__ = "__torch__", "Net"

    class Tensor:
        def __reduce__(self):
            return getattr(torch._utils, module), (Storage(), *(view or (0, (4,), (1,))), False, {})

    buffer = io.BytesIO()
    pickler = Pickler(buffer, protocol=2)
    pickler.dispatch_table = {Module: lambda m: (torch.nn.Module, (), {"a": Tensor()})}
    pickler.dump(Module())
    return buffer.getvalue()


def one(path, tree, content=bytes(16), compress=zipfile.ZIP_STORED):
    """Write an archive of one storage."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", tree)
        file.writestr("x/constants.pkl", b"")
        file.writestr("x/data/0", content, compress)
    return path


@pytest.mark.parametrize(
    ("given", "content", "message"),
    [
        ({}, bytes(16), None),
        ({"view": (0, (2, 2), (1, 2))}, bytes(16), None),
        ({"view": (0, (10**9,), (0,))}, bytes(16), "reaches beyond"),
        ({"view": (1, (4,), (1,))}, bytes(16), "reaches beyond"),
        ({"view": (0, (-4,), (1,))}, bytes(16), "shape is damaged"),
        ({"view": (0, (2,) * 40, (0,) * 40)}, bytes(16), "shape is damaged"),
        ({"view": (0, 4, 1)}, bytes(16), "shape is damaged"),
        ({"count": 5}, bytes(16), "16 bytes for 5 values"),
        ({"count": -4}, bytes(16), "16 bytes for -4 values"),
        ({"key": "1"}, bytes(16), "lacks x/data/1"),
        ({"key": "../data.pkl"}, bytes(16), "lacks"),
    ],
)
def test_claims_are_checked(tmp_path, given, content, message):
    path = one(tmp_path / "a.pt", claims(**given), content)
    if message is None:
        assert read_state(path)["a"].numel() == 4
        return
    with pytest.raises(ModelError, match=message):
        read_state(path)


def test_nothing_is_expanded(tmp_path):
    count = 2**24
    packed = one(tmp_path / "a.pt", claims(count=count), bytes(4 * count), zipfile.ZIP_DEFLATED)
    assert packed.stat().st_size < 2**17
    with pytest.raises(ModelError, match="claim more room than the file has"):
        read_state(packed)
    large = one(tmp_path / "b.pt", b"\x80\x02" + b"]0" * 2**23 + b"N.")
    with pytest.raises(ModelError, match="description is too large"):
        read_state(large)
    for bomb in (b"\x80\x02r\xff\xff\xff\x7f.", b"\x80\x05\x96" + b"\xff" * 7 + b"\x0f."):
        with pytest.raises(ModelError, match="not a readable archive"):
            read_state(one(tmp_path / "c.pt", bomb))


def test_a_tree_may_go_in_circles(tmp_path):
    tree = claims()
    circle = b"q\xc8}(X\x01\x00\x00\x00bh\xc8ub."  # an attribute that is the module itself
    assert tree.endswith(b"b.")
    path = one(tmp_path / "a.pt", tree[:-1] + circle)
    with pytest.raises(ModelError, match="no named tensors"):  # its attributes are replaced
        read_state(path)
    with pytest.raises(ModelError, match="not a readable archive"):
        read_state(one(tmp_path / "b.pt", b"\x80\x02]q\x00h\x00a."))


def test_damaged_content_is_noticed(archive, tmp_path):
    whole = bytearray(archive[0].read_bytes())
    with zipfile.ZipFile(archive[0]) as file:
        info = file.getinfo("tiny/data/20")
    whole[info.header_offset + 200] ^= 0xFF
    (tmp_path / "a.pt").write_bytes(whole)
    with pytest.raises(ModelError, match="not a readable archive"):
        read_state(tmp_path / "a.pt")
