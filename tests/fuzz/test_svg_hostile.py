"""SVGs made to take time, memory or files: read or refused with one line, soon."""

from __future__ import annotations

import gc
import gzip
import os
import random
import time
import warnings

import pytest
from systems import PATIENCE, posix

from guidance.clipdraw.options import ClipDrawOptions
from guidance.errors import FileError, GuidanceError, InputError
from guidance.vector.svg.reader import from_svg

CPU_SECONDS = 2.0 * PATIENCE
RECT = '<rect x="20" y="20" width="40" height="30" fill="red"/>'
NESTED = "".join(f'<g id="a{i + 1}">' + f'<use href="#a{i}"/>' * 10 + "</g>" for i in range(7))


def svg(body: str, head: str = 'viewBox="0 0 100 100"') -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{body}</svg>'


def chain(kind: str, name: str, paint: str = "") -> str:
    """Return clip paths or masks that each use the one before ten times."""
    inner = [
        f'<{kind} id="c{i + 1}">'
        + f'<rect width="50" height="{i + 3}" {paint} {name}="url(#c{i})"/>' * 10
        + f"</{kind}>"
        for i in range(7)
    ]
    first = f'<{kind} id="c0"><rect width="50" height="50" {paint}/></{kind}>'
    return svg(f'{first}{"".join(inner)}<rect width="99" height="99" {name}="url(#c7)"/>')


def rules(css: str, body: str = RECT) -> str:
    return svg(f"<style>{css}</style>{body}")


CURVES = "".join(
    f"C{i * 37 % 100} {i * 53 % 100} {i * 71 % 100} {i * 29 % 100} {i * 91 % 100} {i * 17 % 100}"
    for i in range(1000)
)
VARIABLES = "".join(f"--a{i + 1}:var(--a{i}) var(--a{i});" for i in range(40))


def variables(selector: str, n: int) -> str:
    return selector + "{" + "".join(f"--v{i}:red;" for i in range(n)) + "}"


def polygon(seed: int, n: int) -> str:
    rng = random.Random(seed)
    points = " ".join(f"{rng.uniform(0, 100):.2f}" for _ in range(2 * n))
    return f'<polygon fill-rule="evenodd" points="{points}"/>'


REFUSED = {
    "variables on all": rules(variables("*", 5000) + "rect{fill:var(--v1)}", RECT * 5000),
    "variables of groups": rules(variables("g", 9000), f"{'<g>' * 99}{'</g>' * 99}" * 9),
    "searched attributes": rules(
        "".join(f'[data-a*="{"a" * 50}{i}"]{{fill:red}}' for i in range(1500)),
        f'<rect data-a="{"a" * 20_000}"/>' * 99,
    ),
    "long styles": svg(f'<rect style="{"fill:red;" * 1000}"/>' * 3000),
    "odd styles": svg("".join(f'<g style="{"x:[]!;" * 99}{i}"/>' for i in range(3000))),
    "dots": svg(f'<path stroke="red" stroke-linecap="round" d="{"M1 1z" * 100_000}"/>'),
    "ten million shapes": svg(f'<defs><g id="a0">{RECT}</g>{NESTED}</defs><use href="#a7"/>'),
    "ten million groups": svg(f'<defs><g id="a0"/>{NESTED}</defs><use href="#a7"/>'),
    "uses in a circle": svg(
        "".join(
            f'<g id="a{i}">' + "".join(f'<use href="#a{j}"/>' for j in range(12)) + "</g>"
            for i in range(12)
        )
    ),
    "deep": svg("<g>" * 100_000 + RECT + "</g>" * 100_000),
    "wide": svg("<g/>" * 300_000),
    "much path data": svg('<path d="M0 0' + "L1 1" * 300_000 + '"/>'),
    "many closings": svg('<path d="M0 0' + "z" * 600_000 + '"/>'),
    "long transforms": svg(('<rect transform="' + "rotate(1)" * 1000 + '"/>') * 300),
    "bad opacity": svg('<rect width="9" height="9" opacity="1.2.3"/>'),
    "bad width": svg('<rect width="1..2" height="9"/>'),
    "not a number": svg('<rect width="NaN" height="9"/>'),
    "endless": svg('<rect width="1e999" height="9"/>'),
    "too far": svg('<rect width="1e300" height="9"/>'),
    "long number": svg('<rect width="' + "1" * 20_000 + 'x" height="9"/>'),
    "bad dashes": svg('<path d="M0 0H9" stroke="red" stroke-dasharray="1 2.3.4"/>'),
    "tiny canvas": svg(RECT, 'viewBox="0 0 1e-320 1"'),
    "entities": '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + f"]>{svg('<desc>&j;</desc>')}",
    "foreign entity": '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    + svg(f"<desc>&a;</desc>{RECT}"),
    "many selectors": rules("rect[a]{fill:red}" * 10_000, RECT * 500),
    "long selector": rules(f"x {'g ' * 20}y{{fill:red}}", "<g>" * 100 + "<y/>" + "</g>" * 100),
    "siblings": rules("x ~ rect ~ rect ~ rect{fill:red}", RECT * 3000),
    "counted siblings": rules("rect:nth-last-child(2 of rect){fill:red}", RECT * 3000),
    "chained clip paths": svg(
        "".join(
            f'<clipPath id="c{i}" clip-path="url(#c{i + 1})">{RECT}</clipPath>' for i in range(3000)
        )
        + '<rect width="9" height="9" clip-path="url(#c0)"/>'
    ),
    "chained masks": svg(
        "".join(f'<mask id="c{i}" mask="url(#c{i + 1})">{RECT}</mask>' for i in range(3000))
        + '<rect width="9" height="9" mask="url(#c0)"/>'
    ),
    "brackets": rules(":not(" * 5000 + "a" + ")" * 5000 + "{fill:red}"),
    "long sheet": rules("a{fill:red}" * 60_000),
}
READ = {
    "inherited variables": rules(variables(":root", 5000) + "rect{fill:var(--v1)}", RECT * 5000),
    "groups in see-through groups": svg('<g opacity=".99">' * 99 + RECT * 2000 + "</g>" * 99),
    "crossing even-odd": svg("".join(polygon(i, 400) for i in range(30))),
    "styles": svg("".join(f'<g style="{"fill:red;" * 15}--x:{i}"/>' for i in range(9000)) + RECT),
    "gradients within groups": svg(
        "<g>" * 99
        + "".join(
            f'<linearGradient id="a{i}"><stop/></linearGradient>'
            f'<rect width="9" height="9" fill="url(#a{i})"/>'
            for i in range(5000)
        )
        + "</g>" * 99
    ),
    "spaces": svg(f'<rect width="9" height="9" fill="{" " * 30_000_000}"/>'),
    "long even-odd": svg(f'<path fill-rule="evenodd" d="M0 0{"l1 1" * 170_000}"/>'),
    "long dashes": svg(
        f'<path fill="none" stroke="red" stroke-dasharray="3" d="M0 0{"a9 5 9 1 0 9 9" * 50_000}"/>'
    ),
    "deep enough": svg("<g>" * 100 + RECT + "</g>" * 100),
    "long stop": svg(
        f'<linearGradient id="g"><stop style="{"a" * 20_000}"/></linearGradient>'
        '<rect width="9" height="9" fill="url(#g)"/>'
    ),
    "brackets in a stop": svg(
        f'<linearGradient id="g"><stop style="stop-color:{"rgb(" * 5000}"/></linearGradient>'
        '<rect width="9" height="9" fill="url(#g)"/>'
    ),
    "clip paths in clip paths": chain("clipPath", "clip-path"),
    "masks in masks": chain("mask", "mask", 'fill="white"'),
    "endless dashes": svg('<path d="M0 0H99" stroke="red" stroke-dasharray="1e-9"/>'),
    "far dashes": svg('<path d="M0 0H1e30" stroke="red" stroke-width="9" stroke-dasharray="1"/>'),
    "tangled clip path": svg(
        f'<clipPath id="c"><path d="M0 0{CURVES}"/></clipPath>'
        '<rect width="90" height="90" clip-path="url(#c)"/>'
    ),
    "tangled even-odd": svg(f'<path fill-rule="evenodd" d="M0 0{CURVES}"/>' * 5),
    "endless clip path": svg(
        '<clipPath id="c"><rect width="1e999" height="1e308"/></clipPath>'
        '<rect width="9" height="9" clip-path="url(#c)"/>'
    ),
    "variables": rules(f":root{{--a0:x;{VARIABLES}}} rect{{fill:var(--a40)}}", RECT * 100),
    "variables in a circle": rules(":root{--a:var(--b);--b:var(--a)} rect{fill:var(--a)}"),
    "unclosed": rules("a{" * 20_000),
    "unclosed data": rules("url(data:" * 20_000),
    "endless rotation": svg(RECT.replace("/>", ' transform="rotate(1e999)"/>')),
    "foreign files": '<!DOCTYPE svg SYSTEM "http://localhost:1/x.dtd">'
    + svg(f'<image href="data:image/png;base64,AA=="/><use href="http://localhost:1/#a"/>{RECT}'),
}


def _refusal(source) -> str:
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            from_svg(source)
    except GuidanceError as error:
        return str(error)
    return ""


def attempt(source) -> str:
    """Read a drawing in time and return the message it was refused with, if it was.

    What a machine does beside may double the time of a try, so the shortest of three counts.
    """
    gc.collect()
    gc.freeze()  # what other tests have left would be gone through again and again
    try:
        for _ in range(3):
            began, message = time.process_time(), _refusal(source)
            if (spent := time.process_time() - began) < CPU_SECONDS:
                break
    finally:
        gc.unfreeze()
    assert spent < CPU_SECONDS
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    assert " must " in attempt(REFUSED[name])


@pytest.mark.parametrize("name", READ)
def test_read(name):
    assert attempt(READ[name]) == ""


def test_bad_numbers_are_named():
    with pytest.raises(InputError, match=r"a number as opacity of <rect> but has '1\.2\.3'"):
        from_svg(REFUSED["bad opacity"])


@posix
def test_files_that_are_no_files(tmp_path):
    pipe, device = tmp_path / "pipe.svg", tmp_path / "zero.svg"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(FileError, match="must be an ordinary file but is a pipe or device"):
            from_svg(path)
        with pytest.raises(InputError, match="--init must be an ordinary file"):
            ClipDrawOptions(prompt="a fox", init=str(path)).check()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b" " * 100_000_000, 1, mtime=0), "at most 33554432 bytes"),
        (gzip.compress(svg(RECT).encode() * 50, mtime=0)[:40], "compression is damaged"),
        (b"\x1f\x8b" + b"x" * 50, "compression is damaged"),
        (b'<?xml version="1.0" encoding="klingon"?><svg/>', "encoding that browsers know"),
        (b'<?xml version="1.0" encoding="ISO-2022-KR"?><svg/>', "encoding that browsers know"),
        (b'<?xml version="1.0" encoding="rot13"?><svg/>', "encoding that browsers know"),
        (svg("<title>caf\xe9</title>").encode("latin-1"), "not text in UTF-8"),
        (b"<html><body>", "must be an SVG drawing"),
    ],
)
def test_files_that_are_no_drawings(tmp_path, data, message):
    path = tmp_path / "drawing.svgz"
    path.write_bytes(data)
    assert message in attempt(path)
