"""Odd SVGs from a grammar: read or refused with one line, soon; plain ones look as in resvg."""

from __future__ import annotations

import io
import random
import time
import warnings

import numpy as np
import resvg_py
from PIL import Image
from systems import PATIENCE

from guidance.errors import GuidanceError
from guidance.vector.raster import render
from guidance.vector.scene import Scene
from guidance.vector.svg.reader import from_svg

PLAIN = 150  # drawings that resvg knows wholly, too
ODD = 350
SIZE = 64
CPU_SECONDS = 2.0 * PATIENCE
NEAR = 0.01  # mean difference of two pictures; ours have round caps and joins


class Grammar:
    """Writes drawings; odd ones have values and references that make little sense."""

    def __init__(self, seed: int, odd: bool) -> None:
        self.rng = random.Random(seed)
        self.odd = odd
        self.names: dict[str, list[str]] = {"clipPath": [], "mask": [], "use": [], "symbol": []}

    def number(self, low: float = -20, high: float = 120) -> str:
        """Return a number, at times none."""
        if self.odd and self.rng.random() < 0.04:
            return self.rng.choice(
                ["1.2.3", "NaN", "1e999", "-1e308", "1e-320", "", "auto", "inherit", "calc(1px)",
                 "9" * 400, "0x10", "1e", "--", "var(--a)", "50%", "3em", "2furlongs", "१"]
            )  # fmt: skip
        return f"{self.rng.uniform(low, high):.{self.rng.randint(0, 3)}f}"

    def colour(self) -> str:
        """Return a colour."""
        rgb = [self.rng.randrange(256) for _ in range(3)]
        kinds = ["#{:02x}{:02x}{:02x}".format(*rgb), "rgb({}, {}, {})".format(*rgb), "red", "none",
                 "navy", "currentColor"]  # fmt: skip
        if self.odd:
            kinds += ["rgb(1 2 3 / 4%)", "hsl(1e999 1% 1%)", "url(#a)", "url(#", "inherit", "#12",
                      "lab(1 2 3)", "rgb(" * 50, "red !important", "var(--a)"]  # fmt: skip
        return self.rng.choice(kinds)

    def path(self) -> str:
        """Return path data."""
        parts = [f"M{self.number()} {self.number()}"]
        for _ in range(self.rng.randint(1, 6)):
            command = self.rng.choice("LlHhVvCcSsQqTtAaZMm")
            size = {"H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "Z": 0}.get(command.upper(), 2)
            relative = (-40, 40) if command.islower() else (0, 100)
            values = [self.number(*relative) for _ in range(size)]
            if command in "Aa":
                flags = f"{self.rng.randint(0, 1)}{self.rng.randint(0, 1)}"
                values = [self.number(1, 40), self.number(1, 40), self.number(), flags, *values]
            parts.append(command + " ".join(values))
        if self.odd and self.rng.random() < 0.1:
            parts.insert(
                self.rng.randrange(len(parts) + 1), self.rng.choice(["X", "zz", "L,", "1"])
            )
        return " ".join(parts)

    def style(self, *, group: bool = False) -> str:
        """Return presentation attributes."""
        out = {}
        rng = self.rng
        if rng.random() < 0.7:
            out["fill"] = self.colour()
        if rng.random() < 0.4:
            out |= {"stroke": self.colour(), "stroke-width": self.number(0.5, 6)}
        if rng.random() < 0.3:
            out["fill-rule"] = rng.choice(["evenodd", "nonzero"])
        if rng.random() < 0.2:
            out["stroke-dasharray"] = " ".join(self.number(1, 15) for _ in range(rng.randint(1, 4)))
            out["stroke-linecap"] = rng.choice(["butt", "round", "square"])
        if rng.random() < 0.2:
            out[rng.choice(["fill-opacity", "stroke-opacity"])] = self.number(0, 1)
        if rng.random() < 0.1:
            out["color"] = self.colour()
        if rng.random() < (0.4 if group else 0.2):
            out["transform"] = self.transform()
        for name, share in (("clip-path", 0.15), ("mask", 0.1)):
            known = self.names[{"clip-path": "clipPath"}.get(name, name)]
            if known and rng.random() < share:
                out[name] = f"url(#{rng.choice(known)})"
        if self.odd and rng.random() < 0.3:
            out[rng.choice(["opacity", "filter", "marker-end", "overflow", "display", "font-size",
                            "class", "visibility", "paint-order", "vector-effect"])] = rng.choice(
                ["0.5", "url(#a)", "none", "hidden", "a", "2em", "stroke", "non-scaling-stroke"]
            )  # fmt: skip
        if rng.random() < 0.2 and "transform" not in out:
            return 'style="' + ";".join(f"{k}:{v}" for k, v in out.items()).replace('"', "") + '"'
        return " ".join(f'{k}="{v}"' for k, v in out.items())

    def transform(self) -> str:
        """Return a transform."""
        kinds = ["translate({},{})", "rotate({})", "scale(.8)", "scale(1.2,.7)", "skewX(15)",
                 "rotate({} {} {})", "matrix(.9 .1 -.2 1.1 3 4)"]  # fmt: skip
        if self.odd:
            kinds += [
                "scale(0)",
                "rotate(",
                "scale({},{},{})",
                "none",
                "translate(5%)",
                "skewY(90)",
            ]
        kind = self.rng.choice(kinds)
        return kind.format(*(self.number(-20, 40) for _ in range(kind.count("{}"))))

    def shape(self) -> str:
        """Return an element that draws."""
        n = self.number
        tag, data = self.rng.choice(
            [
                ("path", f'd="{self.path()}"'),
                ("rect", f'x="{n()}" y="{n()}" width="{n(5, 60)}" height="{n(5, 60)}"'),
                ("rect", f'width="{n(5, 60)}" height="{n(5, 60)}" rx="{n(1, 20)}"'),
                ("circle", f'cx="{n()}" cy="{n()}" r="{n(2, 40)}"'),
                ("ellipse", f'cx="{n()}" cy="{n()}" rx="{n(2, 40)}" ry="{n(2, 40)}"'),
                ("polygon", f'points="{" ".join(n() for _ in range(8))}"'),
            ]
        )
        return f"<{tag} {data} {self.style()}/>"

    def node(self, depth: int) -> str:
        """Return any element."""
        kind = self.rng.random()
        if depth > 3 or kind < 0.6:
            return self.shape()
        inner = "".join(self.node(depth + 1) for _ in range(self.rng.randint(1, 3)))
        name = f"n{self.rng.randrange(10**9)}"
        box = f'x="{self.number(0, 50)}" y="{self.number(0, 50)}" '
        box += f'width="{self.number(20, 80)}" height="{self.number(20, 80)}"'
        view = f'viewBox="0 0 {self.number(20, 150)} {self.number(20, 150)}"'
        if kind < 0.75:
            self.names["use"].append(name)
            return f'<g id="{name}" {self.style(group=True)}>{inner}</g>'
        if kind < 0.82:
            return f"<svg {box} {view}>{inner}</svg>"
        if kind < 0.88 and self.names["use"]:
            target = self.rng.choice(self.names["use"])
            return f'<use xlink:href="#{target}" x="{self.number(-20, 20)}"/>'
        if kind < 0.92:
            self.names["clipPath"].append(name)
            units = self.rng.choice(["", 'clipPathUnits="objectBoundingBox"']) * self.odd
            return f'<clipPath id="{name}" {units}>{self.shape()}{self.shape()}</clipPath>'
        if kind < 0.96:
            self.names["mask"].append(name)
            inner = inner if self.odd else f'<path d="{self.path()}" fill="#fff"/>'
            return f'<mask id="{name}">{inner}</mask>'
        return f'<symbol id="{name}" {view}>{inner}</symbol><use xlink:href="#{name}" {box}/>'

    def document(self) -> str:
        """Return a whole drawing."""
        body = "".join(self.node(0) for _ in range(self.rng.randint(1, 5)))
        head = 'viewBox="0 0 100 100"'
        if self.odd:
            head += self.rng.choice(
                [
                    "",
                    ' width="1em"',
                    ' width="-1"',
                    ' height="auto"',
                    ' width="1.2.3"',
                    ' width="5%"',
                ]
            )
            body += self.rng.choice(
                ["", "<style>g &gt; *{fill:red !important;--a:var(--a)}</style>", "<text>a</text>",
                 "<style>rect ~ path, :not(g) {opacity:var(--b,.5)} @media {</style>",
                 '<use href="#a"/>', '<g id="a"><use href="#a"/></g>', "<style>}{</style>"]
            )  # fmt: skip
        space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        text = f"<svg {space} {head}>{body}</svg>"
        if self.odd and self.rng.random() < 0.1:
            place = self.rng.randrange(len(text))
            text = text[:place] + text[place + self.rng.randint(1, 5) :]
        return text


def theirs(text: str) -> np.ndarray:
    png = resvg_py.svg_to_bytes(
        svg_string=text, width=SIZE, height=SIZE, background="#ffffff", dpi=96,
        skip_system_fonts=True,
    )  # fmt: skip
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB")) / 255


def reading(text: str) -> tuple[Scene | None, str, bool]:
    """Return the scene, or None and the message; and whether anything was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            return from_svg(text), "", bool(said)
        except GuidanceError as error:
            return None, str(error), bool(said)


def test_odd_drawings_are_read_or_refused_soon():
    read = 0
    for seed in range(ODD):
        text = Grammar(seed, odd=True).document()
        began = time.process_time()
        scene, message, _ = reading(text)
        assert time.process_time() - began < CPU_SECONDS, seed
        assert "\n" not in message, seed
        read += scene is not None
    assert read > ODD / 3


def test_plain_drawings_look_as_in_resvg():
    alike = seen = 0
    for seed in range(PLAIN):
        text = Grammar(seed, odd=False).document()
        scene, message, said = reading(text)
        if scene is None:
            assert "no visible stroke or fill" in message, seed
        elif not said:  # what cannot be shown was named
            seen += 1
            picture = render(scene, SIZE, SIZE).permute(0, 2, 3, 1)[0].numpy()
            alike += bool(np.abs(picture - theirs(text)).mean() < NEAR)
    assert seen > PLAIN / 2
    assert alike > 0.97 * seen
