"""Random texts are embedded alone as in batches, and as by open_clip without cutting."""

import random
import warnings

import pytest
import torch
import torch.nn.functional as F
from tiny_texts import text_model

from guidance.clip.context import cut
from guidance.clip.overflow import tokenize

ASCII = [chr(c) for c in range(32, 127)] + list("!!!!!!!!!!") + ["fox", " the ", '!"', "!'"]
EMOJI = ["🦊", "👩‍🚀", "🏳️‍🌈", "1️⃣", "‼️", "❗", "🇨🇭"]
CJK = [*"狐狸夕阳きつねの여우。！、!", "!。", "！"]


def texts(count: int, seed: int) -> list[str]:
    """Return random texts; every third one of ASCII alone, the rest mixed."""
    draw = random.Random(seed)
    alphabets = [ASCII, ASCII + EMOJI * 8, ASCII + CJK * 4]
    found = (
        "".join(draw.choices(alphabets[n % 3], k=draw.randint(0, 14))) for n in range(8 * count)
    )
    return list(dict.fromkeys(found))[:count]


COUNTS = {"clip": 5000, "custom": 800, "worldwide": 800, "clipa": 400, "siglip": 400,
          "siglip2": 400, "coca": 400, "reduced": 400, "roberta": 200}  # fmt: skip


@pytest.mark.parametrize("kind", COUNTS)
def test_texts_alone_and_together_are_what_open_clip_makes_of_them(kind, tmp_path):
    model = text_model(kind, tmp_path)
    network, tokenizer = model.network, model.tokenizer
    some = texts(COUNTS[kind], seed=len(kind))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the prompt is longer")
        tokens = tokenize(tokenizer, some)
        whole = F.normalize(network.encode_text(tokens), dim=-1)
        together = model.encode_text(some)
        for number, row in enumerate(tokens):
            with cut(network, row[None]) as short:
                alone = F.normalize(network.encode_text(short), dim=-1)[0]
            assert torch.allclose(alone, whole[number], atol=1e-5), some[number]
    wrong = (together - whole).abs().amax(1) > 1e-5
    assert not wrong.any(), [some[n] for n in wrong.nonzero()[:5]]
