"""Pictures → latents and embeddings."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from guidance.clip.registry import load_clip
from guidance.data import read
from guidance.data.shards import Sample, ShardWriter, encode
from guidance.errors import FileError, InputError
from guidance.models.load_latents import load_latents
from guidance.train.latents import encode as encoding
from guidance.train.latents.encode import Encoder, coarse, prepare
from guidance.train.latents.options import LatentsOptions
from guidance.train.latents.pieces import Pieces
from guidance.train.latents.views import view


@pytest.fixture
def shard(tmp_path):
    """Two pictures: red on the left and blue on the right, and a transparent one."""
    halves = Image.new("RGB", (40, 40), "red")
    halves.paste("blue", (20, 0, 40, 40))
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    with ShardWriter(tmp_path, "pictures") as writer:
        writer.add(Sample("a", ("red and blue", "two halves"), "made", "MIT"), *encode(halves))
        writer.add(Sample("b", ("nothing",), "other", "MIT"), *encode(clear))
    return tmp_path / "pictures-000.tar"


def test_preparation(shard, tmp_path, tiny_clip_path):
    given = LatentsOptions(
        data=(str(shard),), out=tmp_path / "out.safetensors", clip=str(tiny_clip_path), side=32,
        low=True, weights={"other": 0.5}, threads=1, device="cpu",
    )  # fmt: skip
    prepare(given)
    content = load_file(given.out)
    assert content["rows"].tolist() == [0, 0, 1, 1]
    assert content["weights"].tolist() == [1.0, 0.5]
    assert content["sizes"].tolist() == [1, 1, 1, 1]
    assert content["captions"].tolist() == [[0, 1, 0, 1, 0], [2] * 5]
    latents = load_latents("mini", device="cpu")
    with torch.no_grad():
        pictures = latents.decode(content["latents"].float())
    red, blue = pictures[:2, 0] - pictures[:2, 2], pictures[:2, 2] - pictures[:2, 0]
    assert red[0, :, :8].mean() > 0.5 < blue[0, :, -8:].mean()
    assert blue[1, :, :8].mean() > 0.5 < red[1, :, -8:].mean(), "the second view is mirrored"
    assert pictures[2].mean() > 0.95, "what is transparent lies on white"
    assert content["low"].shape == content["latents"].shape
    norms = content["images"].float().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(4), atol=2e-3, rtol=0)


def test_coarse_latents_lose_what_is_small():
    latents = load_latents("mini", device="cpu")
    images = torch.full((1, 3, 32, 32), 0.5)
    images[..., ::2] += 0.3  # stripes of one pixel
    with torch.no_grad():
        small = latents.decode(coarse(images, latents))
    assert (small[..., ::2] - small[..., 1::2]).mean().abs() < 0.05


def test_a_damaged_picture_is_left_out_and_told_once(shard):
    samples = read([str(shard)])
    shard.write_bytes(shard.read_bytes()[:700])
    given = LatentsOptions(data=(str(shard),), out=shard, side=32)
    with pytest.warns(UserWarning, match="the picture .* it is left out"):
        assert view(samples, 0, False, given) is None
    assert view(samples, 0, True, given) is None


def test_how_many_pixels_a_view_has_is_known(tmp_path):
    with ShardWriter(tmp_path, "sizes") as writer:
        for sides in ((16, 20), (200, 90), (64, 64), (4, 40)):
            picture = Image.new("RGB", sides, "red")
            writer.add(Sample(f"{sides}", ("red",), "made", "MIT"), *encode(picture))
        clear = Image.new("RGBA", (24, 24), (255, 0, 0, 9))
        writer.add(Sample("clear", ("red",), "made", "MIT"), *encode(clear))
    samples = read([str(tmp_path / "sizes-000.tar")])
    given = LatentsOptions(data=(), out=tmp_path, side=64)
    sizes = [view(samples, row, False, given).size for row in range(5)]
    assert sizes == [0.25, 1, 1, 0.25, 0.375]
    mirrored = view(samples, 2, True, given)
    assert 1 / 1.15 <= mirrored.size < 1, "it is cut out of a larger one"
    assert mirrored.pixels.shape == (64, 64, 3)
    assert view(samples, 4, True, given).size == 0.375, "drawings are shown whole"


def test_weights_of_sources_go_by_pattern(shard, tmp_path, tiny_clip_path):
    given = LatentsOptions(
        data=(str(shard),), out=tmp_path / "out.safetensors", clip=str(tiny_clip_path), side=16,
        weights={"ma*": 0.25, "other": 0}, threads=1, device="cpu",
    )  # fmt: skip
    prepare(given)
    content = load_file(given.out)
    assert content["weights"].tolist() == [0.25]
    assert content["rows"].tolist() == [0, 0], "what is never shown is not encoded"


@pytest.fixture
def many(tmp_path, tiny_clip_path, monkeypatch):
    """Options for seven pictures, the fourth and fifth damaged, prepared two at a time."""
    monkeypatch.setattr(encoding, "PIECE", 2)
    (tmp_path / "many").mkdir()
    captions = ["image,caption"]
    for number in range(7):
        Image.new("RGB", (40, 40), (30 * number, 90, 200)).save(tmp_path / f"many/{number}.png")
        captions.append(f"{number}.png,picture {number}")
    for number in (4, 5):
        (tmp_path / f"many/{number}.png").write_bytes(b"none")
    (tmp_path / "many/captions.csv").write_text("\n".join(captions))
    return LatentsOptions(
        data=(str(tmp_path / "many"),), out=tmp_path / "out.safetensors",
        clip=str(tiny_clip_path), side=16, threads=1, device="cpu",
    )  # fmt: skip


def stopped(given: LatentsOptions, after: int) -> Pieces:
    """Prepare so many pieces and leave it at that."""
    latents = load_latents("mini", device="cpu")
    encoder = Encoder(read(given.data), latents, load_clip(given.clip, device="cpu"), given)
    pieces = Pieces(given.out, encoder.identity())
    for _ in zip(range(after), encoder.pieces(pieces), strict=False):
        pass
    assert encoder.count() == 4
    return pieces


@pytest.mark.filterwarnings("ignore:.*it is left out")
def test_a_stopped_preparation_goes_on(many, capsys):
    prepare(many)
    whole = load_file(many.out)
    assert whole["rows"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 6, 6]
    many.out.unlink()
    pieces = stopped(many, after=2)
    assert pieces.missing(4) == [2, 3]
    (pieces.folder / ".tmp-0123456789ab.safetensors").write_bytes(b"half of a piece")
    first = pieces.folder / "00000.safetensors"
    kept = load_file(first)
    save_file(kept | {"sizes": kept["sizes"] / 2}, first)
    capsys.readouterr()
    prepare(many)
    said = capsys.readouterr().out
    assert said.startswith(f"{pieces.folder}: 4 pictures of 7 are done\n")
    assert not pieces.folder.exists()
    again = load_file(many.out)
    assert again["sizes"].tolist() == [0.5] * 4 + [1] * 6, "what is done is not done again"
    assert whole.keys() == again.keys()
    assert all(torch.equal(again[k], whole[k]) for k in whole if k != "sizes")


@pytest.mark.filterwarnings("ignore:.*it is left out")
def test_pieces_of_something_else_are_refused(many):
    pieces = stopped(many, after=1)
    for other in (replace(many, seed=1), replace(many, low=True), replace(many, side=32)):
        with pytest.raises(InputError, match=r"out\.safetensors\.pieces holds pieces of other"):
            prepare(other)
    (pieces.folder / "00001.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"00001\.safetensors is damaged, remove it"):
        prepare(many)


@pytest.mark.filterwarnings("ignore:.*it is left out")
def test_pictures_that_cannot_be_read_are_no_data(many):
    for path in (many.out.parent / "many").glob("*.png"):
        path.write_bytes(b"none")
    with pytest.raises(InputError, match="no picture can be read"):
        prepare(many)


def test_codes_are_those_of_the_latents(shard, tmp_path, tiny_clip_path):
    given = LatentsOptions(
        data=(str(shard),), out=tmp_path / "latents.safetensors", clip=str(tiny_clip_path),
        side=32, threads=1, device="cpu",
    )  # fmt: skip
    prepare(given)
    prepare(replace(given, out=tmp_path / "codes.safetensors", codes=True))
    latents = load_latents("mini", device="cpu")
    whole, codes = (load_file(tmp_path / f"{n}.safetensors") for n in ("latents", "codes"))
    assert codes.keys() - whole.keys() == {"codes"}
    assert (codes["codes"].dtype, codes["codes"].shape) == (torch.int16, (4, 4, 4))
    z = whole["latents"].float().movedim(1, -1)
    near = torch.cdist(z.reshape(-1, 8), latents.codebook).argmin(1).view(4, 4, 4)
    assert (near == codes["codes"]).float().mean() > 0.9, "latents are kept in half precision"
    with pytest.raises(InputError, match="--low is for upsamplers, not for --codes"):
        replace(given, codes=True, low=True).check()
