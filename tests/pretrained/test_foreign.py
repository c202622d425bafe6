"""Checkpoint files: what is damaged is named, and code that a file brings never runs."""

import io
import os
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch
from taming_files import F16, narrow, saved

from guidance.errors import FileError, ModelError
from guidance.models.taming import load_taming
from guidance.pretrained.foreign import Inert, read_state


def test_a_file_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "a.ckpt"
    with pytest.raises(FileError, match="does not exist"):
        load_taming(path)
    whole = saved(path, narrow(**F16)).read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], "is cut short: its download did not finish"),
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of git LFS"),
        (b"\x80\x02nonsense" * 9, "cannot be read as weights"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            load_taming(path)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match="holds no named tensors"):
        load_taming(path)
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\xff" * 1000)
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        load_taming(path)


class Touch:
    """A pickle of it creates a file when it is read by an ordinary unpickler."""

    def __init__(self, path: Path, how):
        self.path, self.how = path, how

    def __reduce__(self):
        if self.how is eval:
            return eval, (f"open({str(self.path)!r}, 'w').close()",)
        return self.how, (f"touch {self.path}",)


@pytest.mark.parametrize("how", [eval, os.system], ids=["eval", "system"])
def test_code_in_a_pickle_never_runs(tmp_path, how):
    mark = tmp_path / "ran"
    path = saved(tmp_path / "a.ckpt", {"a": torch.ones(1)}, callbacks=Touch(mark, how))
    if how is eval:
        assert next(iter(read_state(path))) == "a"
    else:  # torch knows it as dangerous and refuses the file
        with pytest.raises(ModelError, match=r"cannot be read as weights \(.*system"):
            read_state(path)
    assert not mark.exists()
    with zipfile.ZipFile(path) as file:  # the pickle would have run elsewhere
        pickled = file.read("a/data.pkl")
    assert how.__name__.encode() in pickled
    buffer = io.BytesIO()
    torch.save({"a": Touch(mark, eval)}, buffer)
    buffer.seek(0)
    torch.load(buffer, weights_only=False)
    assert mark.exists()


def test_lightning_s_own_objects_are_passed_over(tmp_path, monkeypatch):
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)

    class ModelCheckpoint:
        pass

    class Options:
        def __init__(self):
            self.rate = torch.ones(2)

    for kind in (ModelCheckpoint, Options):
        kind.__module__, kind.__qualname__ = name, kind.__name__
        setattr(module, kind.__name__, kind)
    for parent in (name, *(name.rsplit(".", n)[0] for n in (1, 2))):
        monkeypatch.setitem(sys.modules, parent, module)
    state = narrow(ch_mult=(1, 2), attended=())
    callbacks = {ModelCheckpoint: {"monitor": "val/rec_loss", "best": torch.ones(())}}
    path = saved(tmp_path / "a.ckpt", state, callbacks=callbacks, hyper_parameters=Options())
    monkeypatch.undo()
    with pytest.raises(ModuleNotFoundError):
        torch.load(path, weights_only=False)
    assert load_taming(path)
    allowed = torch.serialization.get_safe_globals()  # an entry is a class, or a class and a name
    assert Inert not in [g[0] if isinstance(g, tuple) else g for g in allowed]


def test_the_format_is_told_by_the_content(tmp_path):
    """Files are renamed, and downloads without a network end in a page or a sentence."""
    from safetensors.torch import save_file

    want = {"a.b": torch.arange(6.0).view(2, 3)}
    for name in ("a.pt", "a.bin", "a.safetensors", "a"):
        save_file(want, tmp_path / name)
        assert torch.equal(read_state(tmp_path / name)["a.b"], want["a.b"])
        for zipped in (True, False):
            torch.save(want, tmp_path / name, _use_new_zipfile_serialization=zipped)
            assert torch.equal(read_state(tmp_path / name)["a.b"], want["a.b"])
        (tmp_path / name).write_text('{"error": "Access to this model is restricted"}')
        with pytest.raises(ModelError, match="not a"):
            read_state(tmp_path / name)
    (tmp_path / "a.pt").write_text("Invalid username or password.\n")
    with pytest.raises(ModelError, match=r"is a text, .* 'Invalid username or password\.'$"):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "module"])
def test_weights_lie_under_several_names(tmp_path, key):
    content = {"epoch": 3, key: {"a.b": torch.ones(2)}, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "a.pt")
    assert list(read_state(tmp_path / "a.pt")) == ["a.b"]


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_plain_tensor_is_one_line(tmp_path):
    whole = torch.nn.Linear(2, 2)
    for content in (whole, {"model": whole}):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(ModelError, match=r"whole Python object.*state_dict\(\)"):
            read_state(tmp_path / "a.pt")
    full = torch.ones(2, 2)
    for odd in (full.to_sparse(), full.to("meta"), full.to(torch.complex64)):
        torch.save({"a": odd}, tmp_path / "a.pt")
        with pytest.raises(ModelError, match="holds 'a' as no plain numbers"):
            read_state(tmp_path / "a.pt")
    torch.save({"a": torch.nn.Parameter(full)}, tmp_path / "a.pt")
    assert not read_state(tmp_path / "a.pt")["a"].requires_grad
