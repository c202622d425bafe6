"""Contact sheets, and how they are known again."""

import pytest
from PIL import Image

from guidance.artefacts.sheet import EXIF_SOFTWARE, without_sheet, write_sheet
from guidance.errors import InputError


def test_a_sheet_of_any_version_is_known_again(tmp_path):
    plain, sheet, old = (tmp_path / n for n in ("a.png", "sheet.jpg", "old.png"))
    Image.new("RGB", (32, 24), "red").save(plain)
    assert write_sheet(sheet, [(plain, "red")]) == 1
    mark = Image.Exif()
    mark[EXIF_SOFTWARE] = "guidance.sheet"  # as all versions have written it
    Image.new("RGB", (32, 24)).save(old, exif=mark)
    for path in (sheet, old):
        assert without_sheet([plain, path], str(path)) == [plain]
        with pytest.raises(InputError, match="no images besides an earlier contact sheet"):
            without_sheet([path], str(path))
    assert without_sheet([plain], str(plain)) == [plain]  # not a sheet, and so an image
