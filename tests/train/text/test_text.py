"""Sentence embeddings of captions, and a text tower that learns to give them."""

import pytest
import torch
import torch.nn.functional as F

from guidance.errors import FileError, InputError
from guidance.train.clip import model as models
from guidance.train.clip.sentences import SentenceTable
from guidance.train.text import distil as distilling
from guidance.train.text import embed
from guidance.train.text.distil import Trainer, distil
from guidance.train.text.options import DistilOptions, EmbedOptions

WORDS = ["a", "red", "blue", "fox", "owl", "photo", "of", "in", "the", "snow"]


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """A sentence encoder of the real classes, tiny and untrained."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("minilm")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokens), hidden_size=384, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")  # of transformers, whatever its version
def test_embed_writes_every_caption_text_and_class_once(minilm, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    (folder / "captions.csv").write_text("image,caption\na.png,a red fox\na.png,an owl\n")
    (tmp_path / "more.txt").write_text("the snow\na red fox\n\n")
    embed.embed(
        EmbedOptions(
            minilm=minilm, data=(str(folder),), out=tmp_path / "s", texts=tmp_path / "more.txt"
        )
    )
    table = SentenceTable.load(tmp_path / "s")
    assert table.texts[:3] == ["a red fox", "an owl", "the snow"]
    assert len(table.texts) == len(set(table.texts)) > 950  # the classes of ImageNet
    assert table.embeddings.shape == (len(table.texts), 384)
    torch.testing.assert_close(table.embeddings.float().norm(dim=1), torch.ones(len(table.texts)),
                               rtol=1e-3, atol=1e-3)  # fmt: skip
    alone = embed.Sentences(minilm)(["an owl"])[0]
    assert F.cosine_similarity(alone, table.embeddings[1].float(), dim=0) > 0.999


@pytest.mark.filterwarnings("ignore")
def test_distil_comes_close_to_its_teacher(minilm, tmp_path):
    words = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:6]] * 4
    texts = list(dict.fromkeys(words))
    generator = torch.Generator().manual_seed(0)
    meaning = {w: torch.randn(128, generator=generator) for w in WORDS}
    vectors = torch.stack([sum(meaning[w] for w in t.split()) for t in texts])
    texts += [f"{t} ." for t in texts] + [f"{t} !" for t in texts] + [f"{t} ?" for t in texts]
    SentenceTable(texts, F.normalize(vectors.repeat(4, 1), dim=-1)).save(tmp_path)
    options = DistilOptions(
        minilm=minilm, sentences=tmp_path, architecture="tiny", out=tmp_path / "text.safetensors",
        steps=60, batch=64, threads=1,
    )  # fmt: skip
    distil(options)
    network = models.build(models.read_config("tiny"))
    models.load_text(network, options.out)
    tokens = models.tokenizer(models.read_config("tiny"))(texts[::7])
    with torch.no_grad():
        got = F.normalize(network.eval().encode_text(tokens), dim=-1)
    table = SentenceTable.load(tmp_path)
    assert F.cosine_similarity(got, table.embeddings[::7].float()).mean() > 0.5


def test_tables_find_their_texts(tmp_path):
    table = SentenceTable(["a fox", "an owl"], torch.eye(2))
    table.save(tmp_path)
    again = SentenceTable.load(tmp_path)
    assert again.rows(["an owl", " a  fox"]).tolist() == [1, 0]
    with pytest.raises(InputError, match="1 of 1 caption without embedding, first 'a cat'"):
        again.rows(["a cat"])
    (tmp_path / "texts.txt").write_text("a fox\n")
    with pytest.raises(FileError, match="1 texts do not fit 2 embeddings"):
        SentenceTable.load(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        SentenceTable.load(tmp_path / "none")


def test_a_resumed_text_tower_is_the_uninterrupted_one(minilm, tmp_path, monkeypatch):
    monkeypatch.setattr(distilling, "UNSEEN", 20)
    texts = [f"{a} {b}" for a in WORDS for b in WORDS]
    vectors = F.normalize(torch.randn(100, 128, generator=torch.Generator().manual_seed(1)), dim=-1)
    SentenceTable(texts, vectors).save(tmp_path)
    tower = models.build(models.read_config("tiny")).text
    models.save_state(tower.state_dict(), tmp_path / "tower.safetensors", torch.float32)

    def options(name, **more):
        return DistilOptions(
            minilm=minilm, sentences=tmp_path, architecture="tiny", out=tmp_path / name, steps=11,
            batch=4, threads=0, precision="fp32", init=tmp_path / "tower.safetensors", **more,
        )  # fmt: skip

    whole = Trainer(options("whole.safetensors"))
    whole.run()
    first = Trainer(options("parts.safetensors"))
    for batch, _ in zip(first.batches(0), range(3), strict=False):
        first.train_step(batch, first.clock.done())
    first.save()
    again = Trainer(options("parts.safetensors", resume=True))
    again.run()
    assert again.step == 11
    for key, value in whole.average.state.items():
        torch.testing.assert_close(value, again.average.state[key])
    with pytest.raises(InputError, match=r"--sentences: .* does not exist"):
        DistilOptions(minilm=minilm, sentences=tmp_path / "none").check()
