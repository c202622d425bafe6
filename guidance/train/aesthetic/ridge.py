"""Rated pictures → ridge regression on their embeddings → a head."""

from __future__ import annotations

import csv
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from guidance.conventions import check_count, check_range, derive_seed, make_generator
from guidance.errors import FileError, InputError, counted, unknown
from guidance.files.tables import plain
from guidance.files.text import decode
from guidance.score.aesthetic import AestheticHead, check_out, save_head
from guidance.score.statistics import pearson, spearman
from guidance.train.aesthetic.options import AestheticOptions

NAME = "ratings.csv"
COLUMNS = ("image", "rating")
FEWEST = 10  # rated pictures
# Relative to the mean square of the embeddings' spread, so that they suit every CLIP.
PENALTIES = torch.logspace(-5, 3, 81, dtype=torch.float64)


@dataclass(frozen=True)
class Fit:
    """A ridge regression.

    Attributes:
        weight: ``[D]`` float64.
        bias: added to the product.
        penalty: the chosen one.
        error: root of the mean squared leave-one-out error, in the unit of the ratings.
    """

    weight: Tensor
    bias: float
    penalty: float
    error: float

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return the ratings ``[N]`` of ``[N, D]``, float64."""
        return vectors.double() @ self.weight + self.bias


def train(options: AestheticOptions) -> None:
    """Train, print how well held-out ratings are told, and write the head.

    Raises:
        InputError, FileError: an option or a row of the table cannot be used; found before the
            CLIP is loaded.
    """
    check_out(options.out)
    check_range("held-out", options.held_out, 0.05, 0.5)
    generator = make_generator(derive_seed(options.seed, "held out"))
    check_count("batch", options.batch, 1, 65536)
    check_count("workers", options.workers, 0, 64)
    files, ratings = read_ratings(options.data)
    from guidance.clip.scorer import ClipScorer
    from guidance.embeddings.embed import embed_all

    scorer = ClipScorer(options.clip, device=options.device, precision=options.precision)
    vectors, _, skipped = embed_all(
        files,
        scorer,
        batch=options.batch,
        workers=options.workers,
        progress=not options.quiet,
    )
    for lost in skipped:
        warnings.warn(f"left out: {lost.source} {lost.reason}", stacklevel=2)
    gone = {lost.index for lost in skipped}
    kept = torch.tensor([i not in gone for i in range(len(files))])
    vectors, ratings = vectors.cpu(), ratings[kept]
    if len(ratings) < FEWEST:
        raise InputError(f"too few readable pictures: {len(ratings)}; {FEWEST} are needed")
    places = torch.randperm(len(ratings), generator=generator)
    count = max(2, round(options.held_out * len(ratings)))
    test, rest = places[:count], places[count:]
    told = fit_ridge(vectors[rest], ratings[rest])(vectors[test])
    final = fit_ridge(vectors, ratings)
    print(
        f"{len(ratings)} pictures; correlation with {count} held-out ratings: "
        f"{pearson(told, ratings[test]):.3f} (Spearman {spearman(told, ratings[test]):.3f})"
    )
    print(f"typical error {final.error:.3g} where the ratings spread {ratings.std():.3g}")
    weight, bias = final.weight.float()[None], torch.tensor([final.bias])
    head = AestheticHead(((weight, bias),), clip=options.clip, fingerprint=scorer.fingerprint)
    save_head(options.out, head)
    print(f"wrote {options.out}")


def fit_ridge(vectors: Tensor, ratings: Tensor) -> Fit:
    """Fit ratings ``[N]`` by weight and bias on vectors ``[N, D]``.

    Minimises ‖y - Xw - b‖² + λ‖w‖² with b unpenalised. The leave-one-out errors of every λ come
    from one singular value decomposition of the centred X: the error of a row left out is its
    residual over 1 - h, h being its entry on the diagonal of the hat matrix (Allen 1974, PRESS;
    Hastie, Tibshirani & Friedman, "The Elements of Statistical Learning", section 7.10).
    """
    x, y = vectors.double(), ratings.double()
    mean, middle = x.mean(0), y.mean()
    u, s, v = torch.linalg.svd(x - mean, full_matrices=False)  # [N, K], [K], [K, D]
    along = u.T @ (y - middle)
    unit = float((s**2).mean()) or 1.0  # equal vectors have no spread to scale by
    best: tuple[float, float] | None = None
    for penalty in (PENALTIES * unit).tolist():
        shrink = s**2 / (s**2 + penalty)
        left = y - middle - u @ (shrink * along)
        hat = (u**2) @ shrink + 1 / len(y)
        error = float(((left / (1 - hat).clamp(min=1e-9)) ** 2).mean())
        if best is None or error < best[0]:
            best = error, penalty
    if best is None:
        raise ValueError("no penalty to try")
    error, penalty = best
    weight = v.T @ (s / (s**2 + penalty) * along)
    return Fit(weight, float(middle - mean @ weight), penalty, math.sqrt(error))


def read_ratings(folder: Path) -> tuple[list[Path], Tensor]:
    """Return the pictures that ``ratings.csv`` names, and their ratings ``[N]`` float64.

    Raises:
        FileError: the table or a picture is missing, or a row cannot be used; says which.
        InputError: fewer than ten rows, or ratings that are all equal.
    """
    path = Path(folder) / NAME
    try:
        rows = csv.DictReader(io.StringIO(decode(path.read_bytes()), newline=""))
        names = rows.fieldnames or ()
        for column in COLUMNS:
            if column not in names:
                raise FileError(f"{path} lacks a column: " + unknown("column", column, names))
        table = [(rows.line_num, plain(row["image"] or ""), row["rating"]) for row in rows]
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; it has the columns image and rating") from None
    except FileError:
        raise
    except (OSError, InputError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text with commas"
        raise FileError(f"cannot read {path}: {reason}") from error
    files, ratings = [], []
    for line, image, text in table:
        try:
            rating = float(text)
        except (TypeError, ValueError):
            rating = math.nan
        if not math.isfinite(rating):
            raise FileError(f"{path}, line {line}: the rating must be a number but is {text!r}")
        if not image or not (Path(folder) / image).is_file():
            raise FileError(f"{path}, line {line}: the picture {image!r} does not exist")
        files.append(Path(folder) / image)
        ratings.append(rating)
    if len(files) < FEWEST:
        raise InputError(
            f"{path} rates {counted(len(files), 'picture')}; at least {FEWEST} are needed"
        )
    if len(set(ratings)) == 1:
        raise InputError(f"{path}: all ratings are {ratings[0]:g}, so there is nothing to learn")
    return files, torch.tensor(ratings, dtype=torch.float64)
