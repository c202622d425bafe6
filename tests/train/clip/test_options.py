"""Options from the shipped configs, from TOML files and from the command line."""

import dataclasses

import pytest

from guidance.command.cli import main
from guidance.errors import FileError, InputError
from guidance.train.clip import presets, sections
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import read_config, take_config


@pytest.mark.parametrize("name", sorted(p.stem for p in presets.CONFIGS.glob("*.toml")))
def test_shipped_configs_are_valid(name, tmp_path):
    options = read_config(name)
    teachers = dataclasses.replace(options.teachers, sentences=tmp_path)
    dataclasses.replace(options, data=("x",), teachers=teachers).check()


def test_a_file_fills_sections_and_the_command_line_overrides(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'data = ["a.tar", "b.tar"]\nseed = 3\n[model]\nfreeze = ["image"]\ntext_init = "t.st"\n'
        '[sampling]\nbatch = 8\nmin_crop = 1\n[sampling.weights]\n"iconify:*" = 2\n'
    )
    seen = []
    argv = ["--config", str(path), "--batch", "16", "--architecture", "mini"]
    code = main(ClipOptions, seen.append, prog="train", argv=argv, base=take_config)
    assert code == 0
    (options,) = seen
    assert options.data == ("a.tar", "b.tar")
    assert (options.seed, options.sampling.batch, options.sampling.min_crop) == (3, 16, 1.0)
    assert options.sampling.weights == {"iconify:*": 2.0}
    assert (options.model.freeze, options.model.architecture) == (("image",), "mini")
    assert options.model.text_init.name == "t.st"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bach = 3", "option 'bach'"),
        ("[sampling]\nbatch = 'many'", "batch must be of type int but is 'many'"),
        ("[sampling]\naugment = 'all'", "augment must be one of guidance, crop, none"),
        ("[sampling]\nweights = 3", "weights must be a table"),
        ("[sampling.weights]\nfox = 'much'", "weights.fox must be of type float"),
        ("model = 3", r"model must be a section \[model\]"),
        ("[model]\nfreeze = 3", "freeze must be a list"),
        ("resume = 1", "resume must be of type bool"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(str(path))


def test_unknown_and_unreadable_configs(tmp_path):
    with pytest.raises(InputError, match=r"did you mean tiny"):
        read_config("tinny")
    (tmp_path / "a.toml").write_text("[")
    with pytest.raises(FileError, match="not readable TOML"):
        read_config(str(tmp_path / "a.toml"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "name the pictures"),
        ({"data": ("x",), "model": sections.ModelOptions(freeze=("image", "text"))}, "one tower"),
        ({"data": ("x",), "sampling": sections.SamplingOptions(batch=1)}, "batch"),
        ({"data": ("x",), "teachers": sections.TeacherOptions(sentence=1.0)}, "needs --sentences"),
        ({"data": ("x",), "resume": True}, "holds no state.pt"),
    ],
)
def test_check(changes, message):
    with pytest.raises(InputError, match=message):
        ClipOptions(**changes).check()


def test_a_run_is_not_overwritten(tmp_path):
    (tmp_path / "state.pt").touch()
    options = ClipOptions(data=("x",), out=tmp_path)
    with pytest.raises(InputError, match="holds a run; --resume continues it"):
        options.check()
    dataclasses.replace(options, resume=True).check()
