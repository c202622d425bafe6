"""Every kind of file an image folder may hold, built in a temporary folder."""

from __future__ import annotations

import io
import os
import threading
import warnings

import numpy as np
import pytest
import torch
from picture_files import bomb, half
from PIL import Image
from systems import posix

from guidance.errors import FileError, InputError
from guidance.images import as_tensor, hide_warnings, is_image_path, load_image, to_pil, to_tensor

RAMP = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3) * 7 % 251


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(RAMP.astype(np.uint8))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif"])
def test_formats_are_read(tmp_path, photo, suffix):
    path = tmp_path / f"x.{suffix}"
    photo.save(path)
    loaded = load_image(path)
    assert (loaded.mode, loaded.size) == ("RGB", (64, 48))


def test_bytes_and_open_files_are_read_as_files_are(tmp_path, photo):
    path = tmp_path / "x.png"
    photo.save(path)
    assert load_image(path.read_bytes()).tobytes() == photo.tobytes()
    with path.open("rb") as file:
        assert load_image(file).tobytes() == photo.tobytes()
        assert not file.closed
    for data, reason in {
        b"": "is empty",
        b"%!PS-Adobe-3.0 EPSF-3.0\n": "is not an image of a known format but a PostScript file",
        bomb(tmp_path / "b.png", 11000).read_bytes(): "has 11000x11000 pixels",
        half(path).read_bytes(): "cannot be read",
    }.items():
        for source in (data, io.BytesIO(data)) if data else (data,):
            with pytest.raises(FileError, match=f"^a.tar: b.jpg {reason}"):
                load_image(source, name="a.tar: b.jpg")
    with pytest.raises(FileError, match=r"^the image is empty"):
        load_image(b"")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_truncated_files_are_refused(tmp_path, photo, suffix):
    path = tmp_path / f"x.{suffix}"
    photo.save(path)
    with pytest.raises(FileError, match=r"x\.\w+ (cannot be read|is not an image)"):
        load_image(half(path))


def test_decompression_bombs_are_refused_before_decoding(tmp_path):
    with pytest.raises(FileError, match="more than 100,000,000 pixels"):
        load_image(bomb(tmp_path / "bomb.png"))
    with pytest.raises(FileError, match=r"11000x11000 pixels, more than 100,000,000"):
        load_image(bomb(tmp_path / "big.png", 11000))
    small = bomb(tmp_path / "limit.png", 20)
    with pytest.raises(FileError, match=r"20x20 pixels, more than 399"):
        load_image(small, max_pixels=399)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif"])
def test_animations_give_their_first_frame(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    frames = [Image.new("RGB", (20, 20), c) for c in ("red", "blue", "lime")]
    options = {"quality": 100} if suffix == "avif" else {"lossless": True}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, **options)
    red, green, blue = load_image(path).getpixel((5, 5))
    assert red > 240
    assert green < 20
    assert blue < 20


def test_of_pages_and_extra_views_the_first_is_read(tmp_path, photo):
    other = Image.new("RGB", (64, 48), "red")
    photo.save(tmp_path / "pages.tif", save_all=True, append_images=[other])
    photo.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[other])
    for name in ("pages.tif", "phone.jpg"):
        assert abs(RAMP - np.asarray(load_image(tmp_path / name)).astype(int)).mean() < 40


@posix
def test_what_is_not_an_image_is_named(tmp_path, photo):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "draw.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for name, reason in {
        "text.png": "is not an image of a known format",
        "empty.png": "is empty",
        "folder.png": "is a folder, not an image",
        "pipe.png": "is not a regular file",
        "loop.png": "cannot be read: Too many levels of symbolic links",
        "draw.eps": "is not an image of a known format but a PostScript file; save it as PNG or "
        "JPEG",
        "none.png": "does not exist",
    }.items():
        with pytest.raises(FileError) as caught:
            load_image(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name} {reason}"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_permission_denied_is_named(tmp_path, photo):
    path = tmp_path / "secret.png"
    photo.save(path)
    path.chmod(0)
    with pytest.raises(FileError, match="cannot be read: Permission denied"):
        load_image(path)


def test_16_bit_grey_keeps_its_range(tmp_path):
    values = np.array([[0, 32896], [65535, 257]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert np.asarray(load_image(tmp_path / "x.png"))[..., 0].tolist() == [[0, 128], [255, 1]]
    Image.fromarray(values // 300).save(tmp_path / "dark.png")  # no value above 255: still 16 bits
    assert np.asarray(load_image(tmp_path / "dark.png")).max() == 1


def test_float_images_keep_their_range(tmp_path):
    values = np.array([[0.0, 0.5], [1.0, 0.25]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "x.tif")
    assert np.asarray(load_image(tmp_path / "x.tif"))[..., 1].tolist() == [[0, 128], [255, 64]]
    Image.fromarray(values * np.nan).save(tmp_path / "nan.tif")
    with pytest.raises(FileError, match="not finite"):
        load_image(tmp_path / "nan.tif")


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg")
    red, green, blue = load_image(tmp_path / "x.jpg").getpixel((8, 8))
    assert red > 240
    assert green < 20
    assert blue < 20


def test_transparency_is_laid_over_white(tmp_path):
    rgba = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    rgba.putpixel((0, 0), (0, 0, 255, 255))
    rgba.save(tmp_path / "rgba.png")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "palette.png", transparency=1)
    for name in ("rgba.png", "palette.png"):
        loaded = load_image(tmp_path / name)
        assert loaded.getpixel((0, 0)) == (0, 0, 255)
        assert loaded.getpixel((4, 4)) == (255, 255, 255)


def test_exif_rotates_and_damaged_exif_is_ignored(tmp_path, photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    photo.save(tmp_path / "turned.png", exif=exif)
    expected = photo.transpose(Image.Transpose.ROTATE_270)
    assert load_image(tmp_path / "turned.png").tobytes() == expected.tobytes()
    photo.save(tmp_path / "damaged.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert load_image(tmp_path / "damaged.jpg").size == (64, 48)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_min_side_shrinks_by_whole_factors(tmp_path, photo, suffix):
    photo.resize((640, 480)).save(tmp_path / f"x.{suffix}")
    assert load_image(tmp_path / f"x.{suffix}").size == (640, 480)
    assert load_image(tmp_path / f"x.{suffix}", min_side=120).size == (160, 120)
    assert load_image(tmp_path / f"x.{suffix}", min_side=600).size == (640, 480)


def test_an_open_image_is_left_as_it_is(tmp_path, photo):
    photo.resize((640, 480)).save(tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        load_image(image, min_side=32)
        assert image.size == (640, 480)


def test_tensors_and_pil_convert_back_and_forth(photo):
    tensor = to_tensor(photo)
    assert tensor.shape == (1, 3, 48, 64)
    assert (tensor.min(), tensor.max()) == (0, RAMP.max() / 255)
    assert to_pil(tensor).tobytes() == photo.tobytes()
    assert to_pil(tensor[0] + 0.4 / 255).tobytes() == photo.tobytes()
    assert as_tensor(tensor[0]).equal(tensor)
    assert as_tensor(photo).equal(tensor)


@pytest.mark.parametrize(
    "image", [5, torch.rand(2, 3, 8, 8), torch.rand(1, 8, 8), torch.zeros(3, 8, 8).byte()]
)
def test_as_tensor_refuses_what_is_not_one_image(image):
    with pytest.raises(InputError, match="image must"):
        as_tensor(image)


def test_suffixes():
    assert is_image_path("a/b.JPG")
    assert not is_image_path("a/b.json")


def test_hidden_warnings_come_back_when_threads_overlap():
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def work():
        with hide_warnings():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    with hide_warnings():
        thread.start()
        inside.wait(10)
        with pytest.raises(UserWarning):  # ours are not hidden
            warnings.warn("shown", stacklevel=1)
    leave.set()
    thread.join()
    assert warnings.filters == before
