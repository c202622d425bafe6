"""The page, walked through in a real browser and read as text."""

from __future__ import annotations

import html
import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guidance.errors import FileError
from guidance.rerank import gallery
from guidance.rerank.gallery import write_gallery
from guidance.rerank.scoring import Scored

NAMES = ("plain.png", 'quote"<b>.png', "{{items}}.png", "狐 fox.png", "last & least.png")
SCRIPT = Path(__file__).with_name("walk.js")


@pytest.fixture
def ranked(tmp_path) -> list[Scored]:
    """Return five pictures in a folder beside the page, ranked."""
    folder = tmp_path / "the photos"
    folder.mkdir()
    entries = []
    for n, name in enumerate(NAMES):
        pixels = np.full((30 + 300 * n, 400, 3), 40 * n, np.uint8)
        exif = Image.Exif()
        exif[0x0131] = "a secret camera"
        Image.fromarray(pixels).save(folder / name, exif=exif)
        parts = {"prompt": 0.3 - 0.01 * n, "judge": float("nan") if n == 1 else 0.1 * n}
        group = 1 if n in (0, 3) else None
        entries.append(Scored(n + 1, 2 - 0.5 * n, (0.1,), n, folder / name, parts, group))
    return entries


@pytest.fixture
def page(ranked, tmp_path) -> Path:
    path = tmp_path / "gallery.html"
    assert write_gallery(path, ranked, title="a fox <at> {{title}}:2") == 5
    return path


def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'; img-src data:" in text
    assert not re.search(r"(?:src|href)=\"(?!data:|\./|#)", text)
    assert not re.search(r"https?://|url\(|@import|fetch\(", text)
    assert "a fox &lt;at&gt; {{title}}:2" in text
    assert text.count("<b>") == 5  # one a card, none from a file's name
    uris = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]+)"', text)
    assert [html.unescape(alt).split(", rank")[0] for _, alt in uris] == list(NAMES)
    assert (
        html.unescape(uris[3][1]) == "狐 fox.png, rank 4, score 0.500, group 1 of near-duplicates"
    )
    for place, (data, _) in enumerate(uris):
        with Image.open(io.BytesIO(b64decode(data))) as image:
            assert image.size == (400, 30 + 300 * place) if place < 2 else max(image.size) == 512
            assert not image.getexif()


def test_links_lead_to_the_files(page, ranked):
    from urllib.parse import unquote

    links = re.findall(r'data-file="([^"]+)"', page.read_text(encoding="utf-8"))
    for link, entry in zip(links, ranked, strict=True):
        assert (page.parent / unquote(html.unescape(link))).samefile(entry.source)


def test_many_images_are_smaller_and_lost_ones_left_out(ranked, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "SIDES", ((3, 64), (5, 32)))
    monkeypatch.setattr(gallery, "GALLERY_IMAGES", 5)
    ranked[0].source.unlink()
    assert write_gallery(tmp_path / "g.html", ranked, title="t") == 4
    assert 'width="32"' in (tmp_path / "g.html").read_text(encoding="utf-8")
    with pytest.raises(FileError, match=r"none of the images for .*h\.html can be read"):
        write_gallery(tmp_path / "h.html", ranked[:1], title="t")
    assert not (tmp_path / "h.html").exists()


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("there is no Chromium to walk through the page")
    return found


def walk(chromium: str, page: Path, profile: Path) -> list[dict]:
    """Open the page from ``file://``, press keys as `walk.js` does, and return what it saw."""
    text = page.read_text(encoding="utf-8")
    with_keys = page.with_name("walked.html")
    script = f"<script>{SCRIPT.read_text(encoding='utf-8')}</script></body>"
    with_keys.write_text(text.replace("</body>", script), encoding="utf-8")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=800,900",
         "--virtual-time-budget=5000",
         f"--user-data-dir={profile}", "--dump-dom", with_keys.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-500:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def test_walking_through_with_the_keyboard(chromium, page, tmp_path):
    """The window is three cards wide; each step says which card has the focus afterwards."""
    seen = {step["did"]: step for step in walk(chromium, page, tmp_path / "profile")}
    plain, quote, items, fox, last = NAMES
    focus = {did: step["focus"] for did, step in seen.items()}
    assert seen["start"]["columns"] == 3
    assert seen["start"]["tabs"] == 1  # one card in the tab order
    assert seen["start"]["decoded"] == 5  # data: pictures are allowed and whole
    assert focus["right"] == quote
    assert focus["down"] == last
    assert focus["down at the end"] == last
    assert focus["up"] == quote
    assert focus["left"] == plain
    assert focus["left at the start"] == plain
    assert focus["end"] == last
    assert focus["home"] == plain
    # the enlarged view
    assert seen["enter"] | {"open": True, "caption": plain, "place": "1 of 5"} == seen["enter"]
    assert focus["enter"] == "DIALOG"  # not its link, which Enter would follow
    assert seen["enter"]["scores"] == {
        "rank": "1", "score": "2", "prompt": "0.3", "judge": "0", "group": "1"
    }  # fmt: skip
    assert seen["right in view"]["caption"] == quote
    assert seen["right in view"]["scores"]["judge"] == ""  # it could not read that one
    assert seen["end in view"]["caption"] == last
    assert seen["end in view"]["alt"].startswith(last)
    assert (seen["enter in view"]["open"], focus["enter in view"]) == (False, last)
    assert seen["enter once more"]["open"]
    assert (seen["escape"]["open"], focus["escape"]) == (False, last)
    # the filter
    assert focus["slash"] == "filter"
    assert seen["fox"]["shown"] == [fox]
    assert seen["fox"]["count"] == "1 of 5 images"
    assert focus["enter in filter"] == fox
    assert seen["duplicates"]["shown"] == [plain, fox]
    assert seen["escape in filter"]["shown"] == list(NAMES)
    assert seen["nothing"]["shown"] == []
    # the order, which keeps what has no score last
    assert seen["by judge"]["shown"] == [last, fox, items, plain, quote]
    assert focus["home by judge"] == last
    assert seen["by group"]["shown"] == [plain, fox, quote, items, last]
    assert seen["theme"]["theme"] != seen["theme again"]["theme"]
    assert seen["theme"]["back"] != seen["theme again"]["back"]
    assert seen["theme again"]["violations"] == 0  # of the security policy
