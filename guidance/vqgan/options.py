"""The options of VQGAN painting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from guidance.command.cli import Several, alias
from guidance.command.options import check_files
from guidance.command.tries_options import TriesOptions
from guidance.conventions import check_range, check_size
from guidance.errors import InputError, unknown
from guidance.images.fitting import (
    Size,
    canvas_of,
    check_mask,
    check_multiple,
    final_size,
    shape_of,
    tell_crop,
)
from guidance.images.masks import read_mask
from guidance.images.parse import Rgb, parse_canvas, parse_palette
from guidance.models.latents_config import check_latents, is_local, latents_factor
from guidance.objective.cutout_options import CutoutOptions
from guidance.prompts.grammar import Prompt as ParsedPrompt
from guidance.vqgan.descent import Descent
from guidance.vqgan.motion_options import MotionOptions

AUGMENT = ("perspective", "affine", "noise")
# what the cut methods of VQGAN-CLIP's tools come to here: whether cuts are crops or show the
# whole picture, and how they are augmented
CUT_METHODS: dict[str, tuple[Literal["crops", "whole", "both"], tuple[str, ...]]] = {
    "own": ("both", AUGMENT),
    "latest": ("whole", ("affine", "perspective", "colour", "erase", "noise")),
    "updatedpooling": ("whole", ("affine", "perspective", "colour", "erase", "noise")),
    "nrupdated": ("crops", ("affine", "perspective", "colour", "erase", "noise")),
    "updated": ("crops", ("flip", "perspective", "colour", "noise")),
    "original": ("crops", ()),
}


@dataclass(frozen=True, kw_only=True)
class VqganOptions(MotionOptions, TriesOptions):
    """Paint a prompt with the codes of a VQGAN (VQGAN-CLIP, Crowson et al. 2022, arXiv:2204.08583).

    Leaves image.png and a progress video in a folder under outputs/.
    "--from FOLDER" starts from the options of an earlier run, "--resume FOLDER" continues one.
    """

    vqgan: Annotated[str, alias("--model", "-ckpt", "--vqgan-checkpoint")] = "mini"
    """Decoder: "mini", a checkpoint ("vqgan_imagenet_f16_16384.ckpt"), a folder or repository of
    diffusers ("owner/name"); VQGANs, and the autoencoders of Stable Diffusion and TAESD."""
    vqgan_config: Annotated[str | None, alias("-conf")] = None
    """The .yaml that belongs to a checkpoint of taming-transformers."""

    size: Annotated[str | None, alias("-s")] = None
    """Size of the painting, pixels: "224" or "320x224" (width x height); multiples of the
    decoder's factor, 8 or 16. By default as many pixels as 224x224, in the shape of --init or
    --video-in."""
    render_size: int = 0
    """Longer side of image.png, pixels; 0 leaves it as it is painted."""
    steps: Annotated[int, alias("-i", "--iterations")] = 150
    """Number of optimisation steps."""

    init: Annotated[str | None, alias("-ii", "--init-image")] = None
    """Image to start from. The painting has its shape, or else --size, which it is cropped to."""
    init_weight: Annotated[float, alias("-iw")] = 0.0
    """Weight of the mean squared difference from the init image; 20 keeps what is in it."""
    init_noise: Annotated[Literal["none", "pixels", "gradient", "perlin"] | None, alias("-in")] = (
        None
    )
    """Picture to start from without an init image, by default perlin; none starts from random
    codes."""
    mask: str | None = None
    """Image of the init image's shape that is white where to paint, or a brush on a transparent
    layer, or a photo with a hole there; elsewhere the init image stays as it is."""
    noise_prompt_seeds: Annotated[tuple[int, ...], alias("-nps")] = ()
    """Seeds of random directions that are prompts too; "[noise 5]:0.1" in a prompt is the same."""
    noise_prompt_weights: Annotated[tuple[float, ...], alias("-npw")] = ()
    """Weights of these, one for each; 1 if none are given."""

    lr: Annotated[float, alias("-lr", "--learning-rate", "--step-size")] = 0.2
    """Learning rate, in units of the latents."""
    levels: int = 5
    """Resolutions at which the latents move, each half of the one before; 1 moves every cell by
    itself, as VQGAN-CLIP does."""
    lr_end: float = 0.1
    """The last step's learning rate as a fraction of the first one's; it falls over the last
    third. 1 keeps it."""
    optimizer: Annotated[str, alias("-opt", "--optimiser")] = "adam"
    """adam, adamw, adagrad, adamax, nadam, radam, rmsprop or sgd."""
    ema: float = 0.0
    """Decay of an average of the latents, which is what is then saved; e.g. 0.95, 0 for none."""
    gumbel: float = 0.0
    """Temperature at which codes are drawn at random, the nearer the likelier; 0 takes the nearest
    ones."""

    palette: Several[tuple[str, ...]] = ()
    """Colours to come close to: "red", "#ffcc00", several with commas; may be repeated."""
    palette_weight: float = 1.0
    """Weight of the mean squared distance from the palette."""
    smoothness: float = 0.0
    """Weight of the total variation, which evens out the picture."""
    saturation: float = 0.0
    """Above 0 for vivid colours, below for muted ones."""

    cut_method: Annotated[str, alias("-cutm")] = "own"
    """own; or as in older tools: latest and updatedpooling (all cuts show the whole picture,
    augmented), nrupdated (crops, augmented likewise), updated (crops, flipped and jittered),
    original (plain crops). --augment changes the augmentations of any."""
    augment: Annotated[tuple[str, ...], alias("-aug")] = AUGMENT
    """Augmentations of the cuts: perspective, affine, flip, colour, noise, erase."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the decoder and of the CLIP image towers."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for any value that is not allowed; load nothing."""
        if self.cut_method not in CUT_METHODS:
            raise InputError(unknown("cut method", self.cut_method, CUT_METHODS))
        self.check_motion()
        super().check()
        if self.render_size:
            check_size("render_size", self.render_size)
        self.descent().check()
        check_range("ema", self.ema, 0, 0.99999)
        check_range("gumbel", self.gumbel, 0, 1000)
        check_range("init_weight", self.init_weight, 0, 1e6)
        check_range("palette_weight", self.palette_weight, 0, 1e6)
        check_range("smoothness", self.smoothness, 0, 1e6)
        check_range("saturation", self.saturation, -1e6, 1e6)
        self.colours()
        check_files(init=self.init, mask=self.mask)
        self._check_start()
        if self.mask is not None:
            read_mask(self.mask)
        check_latents(self.vqgan, self.vqgan_config)
        if is_local(self.vqgan):  # a repository is asked when it is loaded
            self.accept()
        elif self.size is not None:
            parse_canvas("size", self.size)

    def accept(self) -> None:
        """Raise `InputError` for a size that the decoder cannot make, and `FileError`s."""
        size = self.canvas()
        check_multiple(self.vqgan, latents_factor(self.vqgan, self.vqgan_config), size)
        if self.mask is not None:
            check_mask(self.mask, self.needed_init(), size)

    def _check_start(self) -> None:
        if self.mask is not None and (self.zoom or self.video_in is not None):
            raise InputError("--mask keeps a part still and cannot be combined with a camera")
        if self.video_in is not None and (self.init is not None or self.init_noise is not None):
            raise InputError("--video-in starts from its frames; leave --init and --init-noise out")
        if self.video_in is not None and self.init_weight:
            raise InputError("--video-in takes --frame-weight instead of --init-weight")
        if self.init is not None and self.init_noise is not None:
            raise InputError("--init and --init-noise contradict each other; give one of them")
        if self.mask is not None and self.init is None:
            raise InputError("--mask needs --init IMAGE, which stays where nothing is painted")
        if self.init_weight and self.init is None:
            raise InputError("--init-weight needs --init IMAGE to pull back to")

    def needed_init(self) -> str:
        """Return the init image, without which --mask and --init-weight mean nothing."""
        if self.init is None:
            raise InputError("--mask and --init-weight need --init IMAGE")
        return self.init

    def prompts(self) -> tuple[ParsedPrompt, ...]:
        """Return the parsed prompts of all prompt options."""
        seeds, weights = self.noise_prompt_seeds, self.noise_prompt_weights
        if not seeds and not weights:
            return super().prompts()
        if weights and len(weights) != len(seeds):
            raise InputError(
                f"noise_prompt_weights must be as many as noise_prompt_seeds ({len(seeds)}) but "
                f"are {len(weights)}"
            )
        pairs = zip(seeds, weights or (1.0,) * len(seeds), strict=True)
        return super().prompts() + tuple(ParsedPrompt(str(s), w, kind="noise") for s, w in pairs)

    def cutouts(self) -> CutoutOptions:
        """Return how the picture is cut; `augment` counts where it differs from its default."""
        options = self.even_cutouts()
        shows, augment = CUT_METHODS[self.cut_method]
        if self.augment != AUGMENT:
            augment = options.augment
        overview = {"both": options.overview, "whole": options.cuts, "crops": 0}[shows]
        return replace(options, overview=overview, augment=augment)

    def descent(self) -> Descent:
        """Return how the latents follow the gradient."""
        return Descent(self.lr, self.lr_end, self.levels, self.optimizer)

    def canvas(self) -> tuple[int, int]:
        """Return height and width of the painting, pixels."""
        shape = self._shape() if self.size is None else None
        factor = 1 if shape is None else latents_factor(self.vqgan, self.vqgan_config)
        return canvas_of(self.size, shape, factor)

    def notes(self) -> list[str]:
        """Return a line about what is cut of the picture or film, if anything."""
        shape = self._shape()
        option, path = ("video-in", self.video_in) if self.init is None else ("init", self.init)
        if shape is None or path is None:
            return []
        return tell_crop(f"--{option}", path, shape, self.canvas())

    def _shape(self) -> Size | None:
        """Return height and width of the picture or film that it starts from."""
        if self.init is not None:
            return shape_of(self.init)
        facts = self._film_facts()
        return None if facts is None else facts.size

    def final(self) -> tuple[int, int]:
        """Return height and width of ``image.png``, pixels."""
        return final_size(self.canvas(), self.render_size)

    def colours(self) -> tuple[Rgb, ...]:
        """Return the palette as RGB in [0, 1]; empty without one."""
        return parse_palette("palette", self.palette)
