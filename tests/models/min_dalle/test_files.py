"""Where the files of a DALL·E mini are, and what is said where they are not or do not fit."""

import shutil

import pytest
import torch
from hub_cache import cached, use_cache
from min_dalle_files import GATED, detoker, random_half, write

from guidance.errors import FileError, ModelError
from guidance.models.min_dalle.files import find, holds_min_dalle, is_local, split
from guidance.models.min_dalle.load import load_min_dalle


def test_flat_files_of_both_sizes(tmp_path):
    write(tmp_path)
    write(tmp_path, "_mini")
    big, small = find(str(tmp_path)), find(f"{tmp_path}/mini")
    assert big.encoder == find(f"{tmp_path}/mega").encoder == tmp_path / "encoder.pt"
    assert small.vocab == tmp_path / "vocab_mini.json"
    assert big.detoker == small.detoker == tmp_path / "detoker.pt"
    (tmp_path / "encoder.pt").unlink()
    (tmp_path / "decoder.pt").unlink()
    assert find(str(tmp_path)).decoder == tmp_path / "decoder_mini.pt", "the only one there"


def test_min_dalle_s_own_folder(tmp_path):
    for size in ("mini", "mega"):
        write(tmp_path / f"dalle_bart_{size}")
        (tmp_path / "vqgan").mkdir(exist_ok=True)
        shutil.move(tmp_path / f"dalle_bart_{size}" / "detoker.pt", tmp_path / "vqgan/detoker.pt")
    for name in (f"{tmp_path}/mini", f"{tmp_path}/dalle_bart_mini"):
        files = find(name)
        assert files.merges == tmp_path / "dalle_bart_mini" / "merges.txt"
        assert files.detoker.resolve() == (tmp_path / "vqgan" / "detoker.pt").resolve()
        assert holds_min_dalle(name)
    assert find(f"{tmp_path}/mega").encoder.parent.name == "dalle_bart_mega"
    assert not holds_min_dalle(str(tmp_path / "vqgan"))
    assert not holds_min_dalle("kuprel/min-dalle")


def test_names():
    assert split("kuprel/min-dalle/mini") == ("kuprel/min-dalle", "mini")
    assert split("mini") == ("mini", "")
    assert split("kuprel/min-dalle") == ("kuprel/min-dalle", "")
    assert not is_local("kuprel/min-dalle/mini")


def test_from_the_hub_s_cache(tmp_path, monkeypatch):
    folder = cached(use_cache(monkeypatch, tmp_path), "kuprel/min-dalle")
    write(folder, "_mini")
    writer, codec = load_min_dalle("kuprel/min-dalle/mini", device="cpu")
    assert writer.name == "kuprel/min-dalle/mini"
    assert writer.codes == codec.codes
    said = r"the DALL·E kuprel/min-dalle is no local .* could not be downloaded .*use --model mini"
    with pytest.raises(ModelError, match=said):
        load_min_dalle("kuprel/min-dalle", device="cpu")
    with pytest.raises(ModelError, match="did you mean kuprel/min-dalle"):
        find("kuprel/min-dale")


def test_missing_files_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / "decoder.pt").rename(tmp_path / "decoder1.pt")
    said = r"lacks decoder.pt; a DALL·E mini or mega has encoder.pt, .*did you mean decoder1.pt"
    with pytest.raises(ModelError, match=said):
        find(str(tmp_path))


def refused(tmp_path, said: str, **changes) -> None:
    write(tmp_path, **changes)
    with pytest.raises(ModelError, match=said):
        load_min_dalle(str(tmp_path), device="cpu")


def test_half_checkpoints_name_file_and_entries(tmp_path):
    state = random_half("decoder", 2)
    del state["layers.1.encoder_attn.q_proj.weight"]
    said = r"decoder.pt does not fit .* lacks 1 entry \(layers.1.encoder_attn.q_proj.weight\)"
    refused(tmp_path, said, decoder=state)
    state = random_half("encoder") | {"layers.0.self_attn.q_proj.bias": torch.zeros(2)}
    said = r"encoder.pt .* has 1 unexpected entry \(layers.0.self_attn.q_proj.bias\)"
    refused(tmp_path, said, encoder=state)
    state = random_half("encoder") | {"layers.1.glu.fc2.weight": torch.zeros(2, 3)}
    refused(tmp_path, rf"layers.1.glu.fc2.weight: 2x3, not 128x{GATED}", encoder=state)
    state = detoker()
    del state["embedding.weight"], state["decoder.conv_out.bias"]
    refused(tmp_path, r"detoker.pt .* lacks 2 entries \(embedding.weight, ", detoker=state)


def test_other_files_are_told(tmp_path):
    refused(tmp_path, r"encoder.pt is no part of .*lacks embed_tokens.weight", encoder=detoker())
    said = r"detoker.pt is no detokeniser of DALL·E mini: it lacks entries"
    refused(tmp_path, said, detoker=random_half("encoder"))
    refused(
        tmp_path, r"encoder.pt and .*decoder.pt are of two models: one has 64", encoder=random_half(
            "encoder", width=64))  # fmt: skip
    small = random_half("decoder", rows=20)
    refused(tmp_path, r"decoder.pt writes 19 codes but .*detoker.pt has 24", decoder=small)
    odd = random_half("decoder", places=15)
    refused(tmp_path, r"pictures of 15 codes, which is no square", decoder=odd)
    odd = random_half("decoder", width=96)
    refused(tmp_path, r"must be a multiple of 64 but embed_tokens.weight has 96", decoder=odd)
    write(tmp_path)
    (tmp_path / "decoder.pt").write_bytes((tmp_path / "decoder.pt").read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"decoder.pt is cut short"):
        load_min_dalle(str(tmp_path), device="cpu")
    with pytest.raises((ModelError, FileError)):
        load_min_dalle(str(tmp_path / "none"), device="cpu")
