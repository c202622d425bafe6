"""A pickled module: its tensors by name, and anything else in it refused."""

import os

import pytest
import torch
from dall_e_files import Builder, save, write
from torch import nn

from guidance.errors import FileError, ModelError
from guidance.models.load_dvae import load_dvae
from guidance.pretrained.modules import read_module

CLASSES = ("dall_e.encoder.Encoder", "dall_e.encoder.EncoderBlock", "dall_e.utils.Conv2d")

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older"])


class Touch:
    """A pickle of it runs a command when it is read by an ordinary unpickler."""

    def __init__(self, path, how):
        self.path, self.how = path, how

    def __reduce__(self):
        if self.how is eval:
            return eval, (f"open({str(self.path)!r}, 'w').close()",)
        return self.how, (f"touch {self.path}",)


@FORMS
def test_the_names_are_those_of_a_state_dict(tmp_path, zipped):
    want = write(tmp_path, zipped=zipped)["encoder.pkl"]
    got = read_module(tmp_path / "encoder.pkl", CLASSES)
    assert sorted(got) == sorted(want)
    assert all(torch.equal(got[name], value) for name, value in want.items())


@FORMS
@pytest.mark.parametrize("how", [eval, os.system], ids=["eval", "system"])
def test_code_in_the_pickle_is_refused(tmp_path, how, zipped):
    write(tmp_path)
    mark, builder = tmp_path / "ran", Builder()
    module = builder.half("Encoder")
    module.surprise = Touch(mark, how)
    save(builder.kinds, module, tmp_path / "encoder.pkl", zipped=zipped)
    with pytest.raises(
        ModelError, match=r"encoder.pkl cannot be read as weights \(.*(eval|system)"
    ):
        load_dvae(tmp_path)
    assert not mark.exists()


@FORMS
def test_a_class_that_is_not_listed_is_refused(tmp_path, zipped):
    builder = Builder()
    module = builder.half("Encoder")
    module.extra = nn.Linear(2, 2)
    save(builder.kinds, module, tmp_path / "a.pkl", zipped=zipped)
    with pytest.raises(ModelError, match=r"Linear.*; only tensors and the classes Encoder, Enc"):
        read_module(tmp_path / "a.pkl", CLASSES)


def test_what_is_no_module(tmp_path):
    path = tmp_path / "a.pkl"
    with pytest.raises(FileError, match="does not exist"):
        read_module(path, CLASSES)
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(ModelError, match="holds no module but a dict"):
        read_module(path, CLASSES)
    torch.save(nn.Sequential(nn.ReLU()), path)
    with pytest.raises(ModelError, match="holds a module without tensors"):
        read_module(path, CLASSES)
    path.write_bytes(b"<html>gone</html>")
    with pytest.raises(ModelError, match="is a web page"):
        read_module(path, CLASSES)


def test_a_module_that_holds_itself_ends(tmp_path):
    builder = Builder()
    module = builder.half("Encoder")
    module._modules["again"] = module
    save(builder.kinds, module, tmp_path / "a.pkl")
    assert "blocks.input.w" in read_module(tmp_path / "a.pkl", CLASSES)


def test_an_older_file_that_is_cut_short(tmp_path):
    write(tmp_path, zipped=False)
    path = tmp_path / "encoder.pkl"
    whole = path.read_bytes()
    for length in (len(whole) - 40, len(whole) // 4, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"encoder.pkl cannot be read as weights"):
            read_module(path, CLASSES)
