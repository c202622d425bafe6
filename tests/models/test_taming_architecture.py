"""The .yaml of taming-transformers: what is wrong with one is said; nothing in it is run."""

import pytest
from taming_files import config_file

from guidance.errors import FileError, InputError
from guidance.models.taming_architecture import read_config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ch_mult": "1,1,2"}, "ch_mult in .* must be a list of whole numbers but is '1,1,2'"),
        ({"ch_mult": [1] * 11}, "ch_mult in .* must have 1 to 10 entries but has 11"),
        ({"n_embed": -1}, "n_embed in .* must be a positive whole number but is -1"),
        ({"num_res_blocks": True}, "num_res_blocks in .* whole number but is True"),
        (
            {"in_channels": 182},
            "in_channels in .* must be 3 for a VQGAN of RGB pictures but is 182",
        ),
        ({"double_z": True}, "double_z in .* must be False"),
        ({"ddconfig": None}, "not one of taming-transformers: it has no 'ddconfig'"),
    ],
)
def test_a_config_that_is_wrong_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_config(config_file(tmp_path / "a.yaml", **changes))


def test_a_config_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    with pytest.raises(FileError, match="cannot read the config"):
        read_config(path)
    for content in (b"a: [", b"\xff\xfe\x00", b"!!python/object/apply:os.getcwd []"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not YAML"):
            read_config(path)
    for content in ("", "[1, 2]", "model: 3"):
        path.write_text(content)
        with pytest.raises(InputError, match="is not one of taming-transformers"):
            read_config(path)
