"""Files of JSON that somebody else wrote: an object, or one line of what is wrong."""

import pytest

from guidance.errors import FileError
from guidance.models.folder import read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot read .*a.json: Expecting"),
        (b"\xff", "cannot read .*a.json: 'utf-8' codec"),
        (b"[" * 100_000, "cannot read .*a.json: "),
        (b"[1]", "it is no JSON object"),
        (b'{"unet": 3}', "it lacks the object 'unet'"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FileError, match=message):
        read_json(tmp_path / "a.json", ("unet",))
