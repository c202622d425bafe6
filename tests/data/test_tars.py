"""Shards that others packed: odd members are read, or skipped and named; hostile ones refused."""

import json
import os
import tarfile
import tracemalloc

import pytest
from systems import posix
from tars import block, header, member, picture, tar_bytes, write_tar

from guidance.data import read
from guidance.data.samples import LISTED
from guidance.errors import FileError, InputError

RED = picture((255, 0, 0))
END = bytes(1024)


def captions(path, **options):
    return {s.key: s.captions for s in read([str(path)], **options)}


@pytest.mark.parametrize(
    "entries",
    [
        {".DS_Store": "x\0"},
        {"._0.png": b"\0\5\x16\7", "__MACOSX/._0.png": b"\0\5", "__MACOSX/0.txt": "no"},
        {"d/.ipynb_checkpoints/0.png": RED, "d/.ipynb_checkpoints/0.txt": "no", "Thumbs.db": "x"},
        {"0.heic": b"x", "2.svg": "<svg/>", "README": "x"},
        {"1.seg.png": RED, "0.seg.png": RED, "0.cls": "3", "1.txt": "no picture"},
    ],
)
def test_what_is_of_no_concern_is_passed_over(tmp_path, entries):
    path = write_tar(tmp_path / "a.tar", {**entries, "0.png": RED, "0.txt": "a red dot"})
    assert captions(path) == {"0": ("a red dot",)}


@pytest.mark.parametrize(
    ("entries", "key", "said"),
    [
        ({"0.PNG": RED, "0.TXT": "a red dot"}, "0", "a red dot"),
        ({"0.Jpeg": RED, "0.JSON": '{"caption": "a red dot"}'}, "0", "a red dot"),
        ({"0.tif": RED, "0.txt": b"\xef\xbb\xbfa red dot\r\n"}, "0", "a red dot"),
        ({"0.png": RED, "0.json": b'\xef\xbb\xbf{"caption": "a red dot"}'}, "0", "a red dot"),
        ({"0.png": RED, "0.txt": "a red\u2028dot\0"[:-1]}, "0", "a red dot"),
        ({"0.png": RED, "0.txt": "\ufeffa red dot".encode("utf-16-le")}, "0", "a red dot"),
        ({"0.png": RED, "0.json": '{"caption": "a\\u0000 red\\n dot"}'}, "0", "a red dot"),
        ({"0.png": RED, "0.json": '{"caption": null}', "0.txt": "a red dot"}, "0", "a red dot"),
        ({"0.png": RED, "0.json": '{"captions": [null, "a red dot"]}'}, "0", "a red dot"),
        ({"0.png": RED, "0.json": '["a red dot"]'}, "0", "a red dot"),
        ({"0.png": RED, "0.json": '"a red dot"'}, "0", "a red dot"),
        ({"0.png": RED, "0.json": '{"text": "a red dot"}'}, "0", "a red dot"),
        ({"./d/0.png": RED, "./d/0.txt": "a red dot"}, "d/0", "a red dot"),
        ({"../../0.png": RED, "../../0.txt": "a red dot"}, "../../0", "a red dot"),
        ({"0.5.png": RED, "0.5.txt": "a red dot"}, "0.5", "a red dot"),
    ],
)
def test_forms_of_captions(tmp_path, entries, key, said):
    assert captions(write_tar(tmp_path / "a.tar", entries)) == {key: (said,)}


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("0.json", '{"caption": null}', "has no caption"),
        ("0.json", "{}", "has no caption"),
        ("0.txt", "", "has no caption"),
        ("0.json", '{"caption": ""}', "has an empty caption"),
        ("0.json", '{"caption": " \\n"}', "has an empty caption"),
        ("0.json", '{"caption": 5}', "has a caption that is not text"),
        ("0.json", '{"captions": ["a", {"b": 1}]}', "has a caption that is not text"),
        ("0.json", '{"caption": "\\ud800"}', "has a text that is not valid Unicode"),
        ("0.json", "{", "is not readable JSON"),
        ("0.json", DEEP, "is nested too deeply"),
        ("0.json", "9" * 5000, "is not readable JSON"),
        ("0.json", "17", "is JSON but no object"),
        ("0.json", "null", "is JSON but no object"),
        ("0.json", '{"caption": "a", "weight": NaN}', "has a weight that is not a number from 0"),
        ("0.json", '{"caption": "a", "weight": -1}', "has a weight that is not a number from 0"),
        ("0.json", '{"caption": "a", "weight": 1' + "0" * 400 + "}", "has a weight that is not"),
        ("0.json", '{"caption": "a", "weight": []}', "has a weight that is not a number from 0"),
        ("0.json", '{"caption": "a", "label": {"b": 1}}', "has a label that is not text"),
        ("0.json", '{"caption": "a", "tags": 3}', "has tags that are not text"),
        ("0.json", '{"caption": "a", "tags": [[]]}', "has tags that are not text"),
        ("0.txt", b"caf\xe9", r"is not UTF-8 text \(line 1\)"),
        ("0.txt", "a fox".encode("utf-16-le"), "it holds NUL characters"),
        ("0.txt", b"x" * 2_000_000, "has 2,000,000 bytes, more than 1,048,576"),
    ],
)
def test_what_cannot_be_used_is_skipped_and_named(tmp_path, name, data, reason):
    entries = {"0.png": RED, name: data, "1.png": RED, "1.txt": "b"}
    path = write_tar(tmp_path / "a.tar", entries)
    if len(data) < 1_048_576:
        with pytest.warns(UserWarning, match=rf"a.tar: {name} is skipped: it .*{reason}"):
            assert captions(path) == {"1": ("b",)}
    else:
        with pytest.warns(UserWarning, match=reason):
            assert captions(path) == {"1": ("b",)}
    assert captions(path, captioned=False) == {"0": (), "1": ("b",)} if name != "0.txt" else True


def test_null_and_words_in_facts(tmp_path):
    meta = {
        "caption": "a",
        "label": None,
        "source": None,
        "weight": None,
        "tags": "b, c",
        "group": 3,
    }
    path = write_tar(tmp_path / "a.tar", {"0.png": RED, "0.json": json.dumps(meta)})
    (sample,) = read([str(path)])
    assert (sample.label, sample.source, sample.weight, sample.tags) == ("", "", 1.0, ("b", "c"))
    assert sample.group == "3"


def test_labels_alone_and_pictures_of_nothing(tmp_path):
    entries = {
        "0.png": RED,
        "0.json": '{"label": "fox"}',
        "1.png": RED,
        "1.json": '{"captions": []}',
    }
    assert captions(write_tar(tmp_path / "a.tar", entries)) == {"0": (), "1": ()}


def test_links_devices_and_holes_are_skipped(tmp_path):
    odd = [
        (member("1.png", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member("2.png", tarfile.LNKTYPE, "0.png"), b""),
        (member("3.png", tarfile.CHRTYPE), b""),
        (member("4.txt", tarfile.FIFOTYPE), b""),
        (member("5.png", tarfile.DIRTYPE), b""),
    ]
    path = write_tar(tmp_path / "a.tar", [("0.png", RED), ("0.txt", "a"), *odd])
    with pytest.warns(UserWarning, match="skipped") as told:
        assert captions(path) == {"0": ("a",)}
    said = [str(w.message).partition(": ")[2] for w in told]
    assert said == [f"{n} is skipped: it is a link or a device"
                    for n in ("1.png", "2.png", "3.png", "4.txt")]  # fmt: skip


def test_the_later_member_of_a_name_counts(tmp_path):
    blue = picture((0, 0, 255))
    entries = [("0.png", RED), ("0.png", blue), ("0.txt", "a"), ("0.txt", "b")]
    path = write_tar(tmp_path / "a.tar", entries)
    assert captions(path) == {"0": ("b",)}
    assert read([str(path)]).image(0).getpixel((0, 0)) == (0, 0, 255)
    write_tar(path, [*entries, ("0.jpg", picture((0, 255, 0), kind="JPEG"))])
    with pytest.warns(UserWarning, match="0.png is skipped: it gives way to 0.jpg"):
        assert read([str(path)]).raw(0)[1] == "jpg"


def test_a_long_list_is_cut(tmp_path):
    pairs = [(f"{i}.png", RED) for i in range(LISTED + 5)]
    pairs += [(f"{i}.txt", "") for i in range(LISTED + 4)] + [(f"{LISTED + 4}.txt", "a")]
    path = write_tar(tmp_path / "a.tar", pairs)
    with pytest.warns(UserWarning, match="skipped") as told:
        captions(path)
    assert len(told) == LISTED + 1
    assert str(told[-1].message).endswith("4 further entries skipped")


def sparse_pax(version: str, size: str, data: bytes = b"1\n0\n1\n") -> bytes:
    info = member("0.json")
    info.pax_headers = {"GNU.sparse.major": version, "GNU.sparse.minor": "0",
                        "GNU.sparse.name": "0.json", "GNU.sparse.realsize": size}  # fmt: skip
    info.size = len(data)
    return info.tobuf(tarfile.PAX_FORMAT) + block(data)


def sparse_gnu(size: int) -> bytes:
    head = bytearray(header("0.json", 512, tarfile.GNUTYPE_SPARSE))
    head[386:410] = b"%011o\0%011o\0" % (0, 512)
    head[483:495] = bytes([0x80]) + size.to_bytes(11, "big")
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 8 * 32 + sum(head[156:512]))
    return bytes(head) + bytes(512)


@pytest.mark.parametrize("hole", [sparse_pax("1", str(10**13)), sparse_gnu(10**13)])
def test_a_sparse_member_that_claims_terabytes_is_skipped(tmp_path, hole):
    path = tmp_path / "a.tar"
    path.write_bytes(hole + tar_bytes([("0.png", RED), ("1.png", RED), ("1.txt", "a")]))
    with pytest.warns(UserWarning, match=r"0.json is skipped: it is stored with holes \(sparse\)"):
        assert captions(path) == {"1": ("a",)}


def endless(content: bytes, kind: bytes = b"x") -> bytes:
    return header("h", len(content), kind) + block(content) + tar_bytes([("0.png", RED)])


GIGABYTES = 2**33
ONE = tar_bytes([("0.png", RED)])[:1024]
HOSTILE = {
    "empty": (b"", "it is empty"),
    "no tar": (b"hello " * 200, "invalid header|bad checksum"),
    "zeros": (b"\0" * 4096, "holds no"),
    "cut in its data": (tar_bytes([("0.png", RED * 40)])[:1500], "unexpected end of data"),
    "cut in a header": (ONE + header("1.png", 9, b"0")[:100], "damaged at byte 1,024"),
    "damaged inside": (ONE + b"z" * 512, "damaged at byte 1,024"),
    "gzip": (b"\x1f\x8b\x08" + bytes(600), r"it is compressed \(gzip\); unpack it"),
    "zip": (b"PK\x03\x04" + bytes(600), r"it is compressed \(zip\)"),
    "claims gigabytes": (header("0.png", GIGABYTES, b"0") + b"x", "unexpected end of data"),
    "a header of gigabytes": (header("h", GIGABYTES, b"x") + bytes(999), "headers of more than"),
    "a name of gigabytes": (header("h", GIGABYTES, b"L") + bytes(999), "headers of more than"),
    "backwards": (ONE + header("1.png", -1024, b"0"), "impossible size"),
    "backwards by pax": (
        endless(b"18 size=-99999999\n" + b"10 a=bcde\n"), "impossible size|damaged",
    ),
    "headers without end": (header("h", 0, b"x") * 3000, "headers"),
    "an endless number": (endless(b"1" * 100_000), "damaged header|endless"),
    "a record of digits": (endless(b"100007 a=" + b"1" * 99_997 + b"\n"), "endless number"),
    "records that overlap": (endless(b"2 " * 60_000 + b"="), "damaged header"),
    "a sparse map without end": (sparse_pax("1", "9", b"9\n" + b"9" * 200_000), "header"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_end_in_one_line(tmp_path, kind):
    data, said = HOSTILE[kind]
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises((FileError, InputError), match=said) as told:
        read([str(path)])
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_with_holes_that_claims_gigabytes_is_read_in_no_time(tmp_path):
    """The file itself is of gigabytes, and almost nothing on the disk."""
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(header("0.png", GIGABYTES, b"0"))
        file.seek(GIGABYTES, 1)
        file.write(tar_bytes([("1.png", RED), ("1.txt", "a")]))
    with pytest.warns(UserWarning, match="0.png is skipped: it has 8,589,934,592 bytes, more than"):
        assert captions(path) == {"1": ("a",)}


@posix
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(FileError, match="is not a regular file"):
        read([str(tmp_path / "a.tar")])


def test_a_program_is_no_picture(tmp_path):
    """Encapsulated PostScript would start Ghostscript."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    path = write_tar(tmp_path / "a.tar", {"0.jpg": eps, "0.txt": "a"})
    with pytest.raises(FileError, match=r"a.tar: the picture '0'"):
        read([str(path)]).image(0)


def test_pictures_alone(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"0.png": RED, "d/1.png": RED, "x.txt": "a"})
    assert captions(path, captioned=False) == {"0": (), "d/1": ()}
    with pytest.raises(InputError, match="holds no captioned pictures"):
        read([str(path)])


def test_pictures_of_other_formats_are_named(tmp_path):
    entries = {"0.png": RED, "0.txt": "a", "1.HEIC": b"x", "1.txt": "b", "2.eps": b"%!PS"}
    path = write_tar(tmp_path / "a.tar", entries)
    with pytest.warns(UserWarning, match=r"1\.HEIC is skipped: it is of a format that is not read"):
        assert captions(path) == {"0": ("a",)}


def test_texts_of_holes_are_not_kept(tmp_path):
    """A file of 100 MB of captions, none of which is on the disk."""
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        for number in range(100):
            file.write(header(f"{number}.txt", 2**20, b"0"))
            file.seek(2**20, 1)
        file.write(tar_bytes([("0.png", RED), ("a.png", RED), ("a.txt", "a")]))
    tracemalloc.start()
    with pytest.warns(UserWarning, match=r"0\.txt is skipped: it is not UTF-8 text: it holds NUL"):
        assert captions(path) == {"a": ("a",)}
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000
