"""The ``text_cfg`` of a CLIP → its tokenizer, from files that lie here or are fetched first.

Most CLIPs read texts with OpenAI's vocabulary, which open_clip ships. The others need the package
transformers and files of their own. Those are put into one folder, looked at, and read from there:
transformers would otherwise fetch a name, or run Python that a folder brings along.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guidance.clip.config import REPOSITORY, tokenizer_options
from guidance.errors import ModelError, line
from guidance.files.text import read_object

MOST_BYTES = 256 * 2**20  # of a file; the largest vocabulary of open_clip's has 34 MB
_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json",
          "*.model", "config.json")  # fmt: skip
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model",
                 "sentencepiece.bpe.model")  # fmt: skip
_CLASSES = {
    "PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend",
    *(f"{name}Tokenizer" for name in (
        "Albert", "Bart", "Bert", "CLIP", "Camembert", "DebertaV2", "DistilBert", "Electra", "GPT2",
        "Gemma", "Llama", "M2M100", "MBart", "MPNet", "MT5", "Nllb", "Qwen2", "Roberta", "Siglip",
        "Siglip2", "T5", "XLMRoberta",
    )),
}  # fmt: skip
_MODELS = {
    "albert", "bart", "bert", "camembert", "clip", "deberta-v2", "distilbert", "electra", "gemma",
    "gemma2", "gpt2", "llama", "m2m_100", "mbart", "mpnet", "mt5", "qwen2", "roberta", "siglip",
    "siglip2", "t5", "xlm-roberta",
}  # fmt: skip


def needs_files(text: Mapping[str, Any]) -> bool:
    """Return whether a tokenizer has files of its own and needs transformers."""
    return bool(text.get("hf_tokenizer_name"))


def build_tokenizer(text: Mapping[str, Any], folder: Path | None = None, what: object = "") -> Any:
    """Return the tokenizer of a ``text_cfg``.

    Args:
        text: of open_clip's configuration.
        folder: with the files of a tokenizer that has any.
        what: the CLIP, for errors.

    Raises:
        ModelError: the files are missing, no tokenizer or need code, or transformers is missing.
    """
    import open_clip

    options = tokenizer_options(text)
    length = text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
    if not needs_files(text):
        return _simple(length, options.get("clean", "lower"))
    check_transformers(what)
    if folder is None or not has_tokenizer(folder):
        raise ModelError(
            f"{what} reads texts with the tokenizer {text['hf_tokenizer_name']}, and its files "
            f"({', '.join(_VOCABULARIES[:3])}, …) are not in {folder}"
        )
    check_folder(folder)
    try:
        return open_clip.tokenizer.HFTokenizer(
            str(folder),
            context_length=length,
            tokenizer_mode=text.get("tokenizer_mode"),
            trust_remote_code=False,
            local_files_only=True,
            **options,
        )
    except Exception as error:  # transformers and tokenizers raise a dozen types
        raise ModelError(f"{folder} holds no usable tokenizer: {line(error)}") from error


@functools.cache  # it takes a tenth of a second, and is changed by nobody
def _simple(length: int, clean: str) -> Any:
    import open_clip

    return open_clip.SimpleTokenizer(context_length=length, clean=clean)


def check_transformers(what: object) -> None:
    """Raise `ModelError` unless the package that `what` needs for its texts is installed."""
    if importlib.util.find_spec("transformers") is None:
        raise ModelError(
            f"{what} reads texts with a tokenizer of the package transformers, which is not "
            "installed: pip install transformers sentencepiece"
        )


def has_tokenizer(folder: Path) -> bool:
    """Return whether the files of a tokenizer lie in `folder`."""
    return any((folder / name).is_file() for name in _VOCABULARIES)


def check_folder(folder: Path) -> None:
    """Raise `ModelError` if the tokenizer in `folder` is not a known one with files beside it."""
    for path in folder.iterdir():  # transformers would wait for a pipe, and read a device
        if path.exists() and not path.is_dir() and not path.is_file():
            raise ModelError(f"{path} is not a regular file")
        if path.name in _VOCABULARIES and path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} is too large for a vocabulary")
    files = (folder / name for name in ("tokenizer_config.json", "config.json"))
    own, model = (read_configuration(file) if file.is_file() else {} for file in files)
    maps = [c.get("auto_map") or {} for c in (own, model)]
    if any(not isinstance(m, Mapping) or "AutoTokenizer" in m for m in maps):
        raise ModelError(
            f"the tokenizer in {folder} is Python code of its author (auto_map); it is never run"
        )
    kind = own.get("tokenizer_class") or model.get("tokenizer_class")
    if kind is None and model:
        if model.get("model_type") not in _MODELS:
            raise ModelError(f"the tokenizer in {folder} is of an unknown kind")
    elif kind is not None and str(kind).removesuffix("Fast") not in {
        c.removesuffix("Fast") for c in _CLASSES
    }:
        raise ModelError(f"the tokenizer in {folder} is of the unknown kind {str(kind)!r:.60}")
    for name in ("vocab_file", "merges_file", "tokenizer_file", "spm_file"):
        value = own.get(name)
        if isinstance(value, str) and Path(value).name != value and Path(value).exists():
            raise ModelError(f"the tokenizer in {folder} names a file outside it: {value!r:.80}")


def fetch(repository: str, what: object, *, online: bool) -> Path:
    """Return the folder in the hub's cache with the tokenizer files of a repository.

    Args:
        repository: in the hub.
        what: the CLIP, for errors.
        online: whether what is missing may be downloaded.

    Raises:
        ModelError: they are not there.
    """
    from huggingface_hub import snapshot_download

    check_transformers(what)
    if not re.fullmatch(REPOSITORY, repository):
        raise ModelError(f"the tokenizer {repository!r:.80} is no name of a repository in the hub")
    why = "is not in the hub's cache"
    try:
        folder = Path(
            snapshot_download(repository, allow_patterns=[*_FILES], local_files_only=not online)
        )
        if has_tokenizer(folder):
            return folder
    except Exception as error:  # the hub client raises unrelated types
        why += f" and could not be downloaded ({line(error)})" if online else ""
    raise ModelError(
        f"{what} reads texts with the tokenizer {repository}, which {why}; with a network, "
        f"fetch it once: hf download {repository} "
        + " ".join(f"--include '{f}'" for f in _FILES)
        + ("; or use --clip mini" if online else "; or put these files beside the weights")
    )


def read_configuration(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file of at most `most` bytes; raise `ModelError` otherwise."""
    try:
        return read_object(path, most)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable configuration: {line(error)}") from error
