"""The options of the shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guidance.command.cli import Several
from guidance.errors import FileError, InputError

TEST_SET = "openmoji"  # a drawing style that is never trained on


@dataclass(frozen=True)
class DataOptions:
    """Build training and test shards; a source whose option is empty is left out."""

    out: Path
    """Folder for the shards; it must be empty or new."""
    iconify: Path | None = None
    """Unpacked npm package ``@iconify/json``."""
    clip_art: Path | None = None
    """The ``svg`` folder of Open Clip Art (Debian: /usr/share/openclipart/svg)."""
    stamps: Path | None = None
    """The Tux Paint stamps (Debian: /usr/share/tuxpaint/stamps)."""
    emoji_3d: Path | None = None
    """Unpacked npm package ``@lobehub/fluent-emoji-3d``; needs --iconify, which names them."""
    snapshots: Path | None = None
    """Folder of git snapshots of public repositories, OWNER+NAME each, with pictures of classes
    (guidance/train/data/public.py lists them); one that is missing is left out."""
    photos: Several[tuple[str, ...]] = ()
    """Captioned photos: a pattern of WebDataset tar files or a folder; may be repeated."""
    wordnet: Path = Path("/usr/share/wordnet")
    """WordNet dictionary folder (Debian: wordnet-base)."""
    test_flickr: int = 1000
    """Flickr8k photos held out."""
    test_imagenet: int = 300
    """ImageNet photos held out."""
    painted: int = 12000
    """Pictures to repaint, half photos and half drawings."""
    scenes: int = 24000
    """Scenes to compose."""
    flowers: int = 2000
    """Flowers to draw."""
    clutter: int = 2500
    """Pictures of nothing."""
    texts: int = 200_000
    """Texts without pictures."""
    seed: int = 0
    """Seed of the split and of everything that is made up."""
    workers: int = 2
    """Processes that render SVG."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what is missing, before any work."""
        if not (self.iconify or self.clip_art or self.stamps or self.snapshots or self.photos):
            raise InputError(
                "name a source: --iconify, --clip-art, --stamps, --snapshots or --photos"
            )
        if self.emoji_3d and not self.iconify:
            raise InputError("--emoji-3d: the emoji are named by --iconify, which is missing")
        wanted = {
            "--iconify": self.iconify and self.iconify / "json" / f"{TEST_SET}.json",
            "--clip-art": self.clip_art,
            "--stamps": self.stamps,
            "--emoji-3d": self.emoji_3d and self.emoji_3d / "assets",
            "--snapshots": self.snapshots,
            "--wordnet": self.wordnet / "data.noun",
        }
        for option, path in wanted.items():
            if path is not None and not path.exists():
                raise InputError(f"{option}: {path} does not exist")
        if list(self.out.glob("*.tar")):
            raise FileError(f"{self.out} holds shards already; name a new folder")
