"""Classes of pictures in public repositories → captioned `Sample`s with their pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from guidance.data import Sample
from guidance.errors import FileError
from guidance.images.read import load_image
from guidance.train.data import names
from guidance.train.data.snapshots import Snapshot, find
from guidance.train.data.wordnet import WordNet

SHORT, LONG = 192, 288  # most pixels of the sides; pictures are never enlarged
LEAST = 24  # pixels of the shorter side
NAMES = 2  # of a class; further synonyms are rare words, or mean something else too
RESEARCH = "imagenet-research"
UNSTATED = "none stated; research"
SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Repository:
    """A public repository with pictures in folders that name what they show.

    Attributes:
        name: Short name, the source of its samples.
        address: "owner/name".
        licence: Terms, in short.
        pattern: Regular expression on paths; group ``c`` is the class, ``k`` the kind of picture.
        ids: The classes are numbers of WordNet ("n02119022").
        called: What a class is called, where its folder says it otherwise.
        listed: File of the repository that maps classes to names (JSON).
        kinds: Kind of picture by what ``k`` matched.
        form: Caption of a class, where "a photo of a ..." is not what people would say.
    """

    name: str
    address: str
    licence: str
    pattern: str
    ids: bool = False
    called: dict[str, str] | None = None
    listed: str = ""
    kinds: dict[str, str] | None = None
    form: str = ""


CALTECH = {
    "car_side": "car", "cougar_body": "cougar", "cougar_face": "cougar", "Faces": "face",
    "Faces_easy": "face", "crocodile_head": "crocodile", "flamingo_head": "flamingo",
    "Leopards": "leopard", "Motorbikes": "motorcycle", "airplanes": "airplane",
    "water_lilly": "water lily", "windsor_chair": "chair", "electric_guitar": "electric guitar",
    "yin_yang": "yin and yang sign", "gerenuk": "antelope",
}  # fmt: skip
MUSIC = {"acordian": "accordion", "marakas": "maracas", "saxaphone": "saxophone"}
PACS = {"art_painting": "painting", "cartoon": "cartoon", "photo": "photo", "sketch": "sketch"}
MONKEYS = {
    "n0": "howler monkey", "n1": "patas monkey", "n2": "uakari", "n3": "japanese macaque",
    "n4": "pygmy marmoset", "n5": "capuchin", "n6": "marmoset", "n7": "squirrel monkey",
    "n8": "night monkey", "n9": "langur",
}  # fmt: skip

REPOSITORIES = (
    Repository(
        "tiny-imagenet", "rangeetpan/IMagenet", RESEARCH,
        r"train/(?P<c>n\d{8})/images/", ids=True,
    ),
    Repository(
        "mini-imagenet", "Deo0330/split_minidataset", RESEARCH, r"(?P<c>n\d{8})/", ids=True
    ),
    Repository("imagenette", "thunderInfy/imagenette", RESEARCH, r"(?P<c>n\d{8})/", ids=True),
    Repository("imagewoof", "q878787/imagewoof2-320", RESEARCH, r"(?P<c>n\d{8})/", ids=True),
    Repository(
        "caltech101", "MachineLearning2020/Homework2-Caltech101", "cc-by-4.0",
        r"101_ObjectCategories/(?P<c>(?!BACKGROUND)[^/]+)/", called=CALTECH,
    ),
    Repository(
        "flowers102", "kibru9399/Image-classifier", UNSTATED,
        r"flowers/train/(?P<c>\d+)/", listed="cat_to_name.json",
    ),
    Repository(
        "instruments", "aizadaaskar/dl-homework", UNSTATED,
        r"(?:train|test|valid)/(?P<c>[^/]+)/", called=MUSIC,
    ),
    Repository(
        "monkeys", "nikhildutta333/Monkey-Species-Classification", UNSTATED,
        r"(?:training|validation)/(?P<c>n\d)/", called=MONKEYS,
    ),
    Repository(
        "animals22", "InputBlackBoxOutput/popular-animals-dataset", UNSTATED,
        r"^(?P<c>[a-z]+)/[^/]+$",
    ),
    Repository(
        "pacs", "MachineLearning2020/Homework3-PACS", "research",
        r"PACS/(?P<k>[^/]+)/(?P<c>[^/]+)/", kinds=PACS,
    ),
    Repository(
        "textures", "pan8915/DeepTexture", "research",
        r"images/(?P<c>[^/]+)/", form="a {} texture",
    ),
)  # fmt: skip


def pictures(folder: Path, wordnet: WordNet) -> Iterator[tuple[Sample, Image.Image]]:
    """Yield the pictures of every one of `REPOSITORIES` that `folder` has a snapshot of."""
    files = names.nouns(wordnet.folder)
    for repository in REPOSITORIES:
        place = find(folder, repository.address)
        if place is None:
            print(f"{repository.name}: no snapshot of {repository.address}, left out")
            continue
        with Snapshot(place) as snapshot:
            yield from _of(repository, snapshot, wordnet, files)


def _of(
    repository: Repository, snapshot: Snapshot, wordnet: WordNet, files: dict[str, str]
) -> Iterator[tuple[Sample, Image.Image]]:
    called = repository.called or {}
    if repository.listed:
        called = json.loads(snapshot.read(repository.listed) or b"{}")
    say = _named_by_number(wordnet) if repository.ids else lambda c: ((_clean(c),), ())
    number = 0
    for path in snapshot.names():
        match = re.search(repository.pattern, path)
        if match is None or not path.lower().endswith(SUFFIXES):
            continue
        image = shrunk(snapshot.read(path))
        if image is None:
            continue
        part = match.groupdict()
        known, kinds = say(called.get(part["c"], part["c"]))
        medium = (repository.kinds or {}).get(part.get("k") or "", "photo")
        number += 1
        yield _sample(repository, number, known, kinds, medium, files), image


def _named_by_number(wordnet: WordNet) -> Callable[[str], tuple]:
    """Name ImageNet's classes as zero-shot classifiers ask for them, then as WordNet does."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    numbers = ImageNetInfo().label_names()
    asked = dict(zip(numbers, IMAGENET_CLASSNAMES, strict=True))

    def say(number: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        known = wordnet.names(number[1:])
        first = (asked[number].lower(),) if number in asked else ()
        return tuple(dict.fromkeys(first + known))[:NAMES], wordnet.kinds(number[1:])

    return say


def _clean(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip().lower()


def _sample(
    repository: Repository,
    number: int,
    known: tuple[str, ...],
    kinds: tuple[str, ...],
    medium: str,
    files: dict[str, str],
) -> Sample:
    name = known[0]
    if repository.form:
        captions: tuple[str, ...] = (repository.form.format(name), name)
    else:
        told = [f"a {medium} of {names.with_article(n)}" for n in (*known, *kinds)]
        captions = (*told, name)
    sort = next((s for n in (*known, *kinds) if (s := names.kind(n, files))), "")
    return Sample(
        f"{repository.name}-{number:06}", tuple(dict.fromkeys(captions)), repository.name,
        repository.licence, label=name, group=captions[0],
        tags=(sort, medium) if sort else (medium,),
    )  # fmt: skip


def shrunk(content: bytes | None) -> Image.Image | None:
    """Return a picture of at most `SHORT` by `LONG` pixels on white; None if it is none."""
    if content is None:
        return None
    try:
        image = load_image(content, alpha=True)
    except (FileError, ValueError, OSError):
        return None
    if image.mode == "RGBA":
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image).convert("RGB")
    width, height = image.size
    if min(width, height) < LEAST:
        return None
    scale = min(1.0, SHORT / min(width, height), LONG / max(width, height))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return image
