"""The configs of a diffusers pipeline → a `Plan` of what to load; no weights are looked at.

Supported are pipelines with a ``UNet2DModel`` or ``UNet2DConditionModel`` that starts from noise:
Stable Diffusion 1, 2 and XL, latent diffusion with and without texts, DDPM and DDIM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from guidance.errors import ModelError
from guidance.models.folder import CONFIG, INDEX, Fetch, read_json
from guidance.models.latents_config import cell_side

SCHEDULER = "scheduler_config.json"
UNETS = ("UNet2DModel", "UNet2DConditionModel")
DECODERS = ("VQModel", "AutoencoderKL", "AutoencoderTiny")
DECODER_PARTS = ("vae", "vqvae", "movq", "vqgan")
ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection", "LDMBertModel")
TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast", "BertTokenizer", "BertTokenizerFast")
TEXT_PARTS = (("text_encoder", "tokenizer"), ("bert", "tokenizer"))
TEXT_PARTS_2 = ("text_encoder_2", "tokenizer_2")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
SUPPORTED = (
    "supported are Stable Diffusion 1, 2 and XL, latent diffusion, DDPM and DDIM pipelines of "
    "diffusers, and OpenAI's guided-diffusion checkpoints"
)
# what a plain UNet of diffusers is trained with (Ho et al. 2020)
LINEAR = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
# configs of UNets that want more than a noisy picture and a text
_OTHER_INPUTS = {
    "time_cond_proj_dim": "it was distilled to take a guidance scale (LCM)",
    "class_embed_type": "it wants class vectors or pictures beside the text",
    "num_class_embeds": "it wants class labels or noise levels beside the text",
}


@dataclass(frozen=True)
class Part:
    """A network or tokenizer of a pipeline: its subfolder ("" is the pipeline's own), and class."""

    folder: str
    library: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)


class Shape(NamedTuple):
    """What is to be known of a diffusion model to choose the size of a picture.

    Attributes:
        size: height and width of the pictures it was trained with, pixels.
        factor: both sides of a picture are multiples of so many pixels.
    """

    size: tuple[int, int]
    factor: int


def shape(config: Mapping[str, Any], factor: int, *, latent: bool) -> Shape:
    """Return the shape of a UNet with this config, which sees cells of `factor` pixels."""
    side = config.get("sample_size") or (64 if latent else 256)
    rows, columns = (side, side) if isinstance(side, int) else side
    return Shape((rows * factor, columns * factor), factor)


@dataclass(frozen=True)
class Plan:
    """What to load of a pipeline.

    Args:
        name: as the user typed it.
        unet: the network.
        schedule: config of the scheduler it was trained with.
        decoder: its autoencoder; None if it works on pixels.
        texts: pairs of text encoder and tokenizer.
        pooled: texts are read as Stable Diffusion XL does.
        zeros: the condition of no text is zeros.
    """

    name: str
    unet: Part
    schedule: dict[str, Any]
    decoder: Part | None = None
    texts: tuple[tuple[Part, Part], ...] = ()
    pooled: bool = False
    zeros: bool = False

    @property
    def shape(self) -> Shape:
        """Size and cells of its pictures."""
        decoder = self.decoder
        factor = 1 if decoder is None else cell_side(decoder.kind, decoder.config)
        return shape(self.unet.config, factor, latent=decoder is not None)

    @property
    def networks(self) -> tuple[Part, ...]:
        """The parts with weights."""
        decoder = (self.decoder,) if self.decoder else ()
        return (self.unet, *decoder, *(encoder for encoder, _ in self.texts))

    @property
    def tokenizers(self) -> tuple[Part, ...]:
        """The parts with vocabularies."""
        return tuple(tokenizer for _, tokenizer in self.texts)


def read_plan(fetch: Fetch, name: str) -> Plan:
    """Read and check the configs of a pipeline's or a UNet's folder.

    Args:
        fetch: finds the files.
        name: as the user typed it, for messages.

    Raises:
        FileError: a config that is damaged.
        ModelError: no such folder of diffusers, or one that is not supported.
    """
    if (file := fetch(INDEX)) is not None:
        return _pipeline(fetch, name, read_json(file))
    if (file := fetch(CONFIG)) is None:
        raise ModelError(
            f"{name} holds no diffusers pipeline: it has neither {INDEX} nor {CONFIG}; {SUPPORTED}"
        )
    config = read_json(file)
    kind = config.get("_class_name", "of another library")
    if kind != "UNet2DModel":
        unet = kind == "UNet2DConditionModel"
        hint = f"name the folder of the whole pipeline, with {INDEX}" if unet else SUPPORTED
        raise ModelError(
            f"{name} must hold a pipeline or a UNet2DModel but its model is {kind}; {hint}"
        )
    plan = Plan(name, Part("", "diffusers", kind, config), _schedule(fetch, name, LINEAR))
    _check_channels(plan)
    return plan


def _pipeline(fetch: Fetch, name: str, index: dict[str, Any]) -> Plan:
    kind = str(index.get("_class_name", "pipeline of another library"))
    unet = _part(fetch, name, index, "unet")
    if unet is None or unet.kind not in UNETS:
        parts = ", ".join(k for k in index if _entry(index, k)) or "none"
        what = f"its unet is a {unet.kind}" if unet else f"a {kind} without unet (parts: {parts})"
        raise ModelError(f"{name} is not supported: {what}; {SUPPORTED}")
    parts = (_part(fetch, name, index, part) for part in DECODER_PARTS)
    decoder = next((part for part in parts if part is not None), None)
    if decoder is not None and decoder.kind not in DECODERS:
        _refuse(name, f"its decoder is a {decoder.kind} (known: {', '.join(DECODERS)})")
    texts = _texts(fetch, name, index) if unet.kind == "UNet2DConditionModel" else ()
    schedule = _schedule(fetch, name, None)
    if kind == "StableDiffusionPipeline":
        schedule["steps_offset"] = 1  # as that pipeline does with configs from before it was one
    plan = Plan(
        name=name,
        unet=unet,
        schedule=schedule,
        decoder=decoder,
        texts=texts,
        pooled=unet.config.get("addition_embed_type") == "text_time",
        # the default of Stable Diffusion XL's pipeline is zeros
        zeros=bool(index.get("force_zeros_for_empty_prompt", len(texts) == 2)),
    )
    if index.get("requires_aesthetics_score"):
        _refuse(name, "it refines pictures of another model (its texts come with a score)")
    _check_channels(plan)
    _check_conditions(plan)
    return plan


def _texts(fetch: Fetch, name: str, index: dict[str, Any]) -> tuple[tuple[Part, Part], ...]:
    pairs = []
    for names in (*TEXT_PARTS, TEXT_PARTS_2):
        encoder, tokenizer = (_part(fetch, name, index, part) for part in names)
        if encoder is None:
            continue
        if encoder.kind not in ENCODERS:
            _refuse(name, f"its {names[0]} is a {encoder.kind} (known: {', '.join(ENCODERS)})")
        if tokenizer is None or tokenizer.kind not in TOKENIZERS:
            kind = tokenizer.kind if tokenizer else "missing"
            _refuse(name, f"its {names[1]} is {kind} (known: {', '.join(TOKENIZERS)})")
        pairs.append((encoder, tokenizer))
    if not pairs:
        _refuse(name, "it has no text encoder")
    return tuple(pairs)


def _check_channels(plan: Plan) -> None:
    config = plan.unet.config
    inputs = config.get("in_channels", 3 if plan.unet.kind == "UNet2DModel" else 4)
    latent = plan.decoder.config if plan.decoder else {}
    if plan.decoder is None:
        own = 3
    elif plan.decoder.kind == "VQModel" and latent.get("vq_embed_dim"):
        own = latent["vq_embed_dim"]
    else:
        own = latent.get("latent_channels", 3 if plan.decoder.kind == "VQModel" else 4)
    if inputs == own:
        return
    if inputs == 2 * own + 1:
        _refuse(
            plan.name,
            f"it is an inpainting model ({inputs} input channels); name the model it was made of, "
            "which paints inside a mask as well",
        )
    where = "latents" if plan.decoder else "pixels"
    _refuse(plan.name, f"its network takes {inputs} channels but its {where} have {own}")


def _check_conditions(plan: Plan) -> None:
    config = plan.unet.config
    if plan.unet.kind == "UNet2DModel":
        return
    for key, why in _OTHER_INPUTS.items():
        if config.get(key) is not None:
            _refuse(plan.name, why)
    if config.get("encoder_hid_dim_type") not in (None, "text_proj"):
        _refuse(plan.name, "it wants pictures as conditions")
    if config.get("addition_embed_type") not in (None, "text_time"):
        _refuse(plan.name, f"it wants conditions of kind {config['addition_embed_type']}")
    if plan.pooled and plan.texts[-1][0].kind != "CLIPTextModelWithProjection":
        _refuse(plan.name, "its last text encoder makes no pooled embeddings")
    if not plan.pooled and len(plan.texts) > 1:
        _refuse(plan.name, f"it has {len(plan.texts)} text encoders")


def _schedule(fetch: Fetch, name: str, default: dict[str, Any] | None) -> dict[str, Any]:
    """Return the scheduler's config; old pipelines have it beside their index."""
    file = fetch(f"scheduler/{SCHEDULER}") or fetch(SCHEDULER)
    if file is None:
        if default is None:
            _refuse(name, f"it has no scheduler/{SCHEDULER}")
        return dict(default)
    schedule = read_json(file)
    if "beta_schedule" not in schedule and "trained_betas" not in schedule:
        kind = schedule.get("_class_name", "unknown scheduler")
        _refuse(name, f"it was trained with a {kind}, whose noise is not that of DDPM")
    prediction = schedule.setdefault("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        _refuse(name, f"its network predicts {prediction!r} (known: {', '.join(PREDICTIONS)})")
    if str(schedule.get("variance_type", "")).startswith("learned"):
        schedule["variance_type"] = "fixed_small"  # the learned ones are dropped
    return schedule


def _part(fetch: Fetch, name: str, index: dict[str, Any], part: str) -> Part | None:
    """Return a part of a pipeline, with its config if it is a network; None if it has no such."""
    entry = _entry(index, part)
    if entry is None:
        return None
    library, kind = entry
    if part.startswith("tokenizer"):
        return Part(part, library, kind)
    if (file := fetch(f"{part}/{CONFIG}")) is not None:
        return Part(part, library, kind, read_json(file))
    # the first pipelines, google/ddpm-cat-256 say, have their only network beside the index
    if part == "unet" and (file := fetch(CONFIG)) is not None:
        return Part("", library, kind, read_json(file))
    raise ModelError(f"{name} is incomplete: it has no {part}/{CONFIG}")


def _entry(index: dict[str, Any], part: str) -> tuple[str, str] | None:
    """Return library and class of a part; None if the index has no such part, or an empty one."""
    entry = index.get(part)
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(e, str) for e in entry):
        return entry[0], entry[1]
    return None


def _refuse(name: str, why: str) -> NoReturn:
    raise ModelError(f"{name} is not supported: {why}; {SUPPORTED}")
