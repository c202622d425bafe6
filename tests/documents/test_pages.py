"""The pages themselves: what they link to, and that each of their commands is run by a test."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from pages import CARDS, PAGES, ROOT, commands, lines, pages_of_folders

PICTURES = ("clipdraw", "vqgan", "diffusion", "dalle", "pixels")
SCORING = ("rerank", "classify", "probe", "look", "interrogate")
# what the other files of this folder, tests/recipes and tests/evaluate run; and what lists names
RUN = {
    *(f"guidance.{name}" for name in (*PICTURES, *SCORING)),
    *(
        f"guidance.train.{name}"
        for name in ("aesthetic", "clip", "dalle", "diffusion", "latents", "vqgan")
    ),
    *(f"recipes/{path.name}" for path in ROOT.glob("recipes/*.py")),
    "guidance.evaluate",
}
# by tests/test_contributing.py; benchmarks take minutes
ELSEWHERE = {"benchmarks.run", "guidance", "guidance.dots", "venv"}
FRONT = 180  # lines


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made where pages are shown."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_command_is_run_by_a_test():
    programs = {line.split()[0].partition("=")[0] for line in lines()}
    assert programs - ELSEWHERE <= RUN


def test_each_runnable_folder_has_a_page():
    for folder in {p.parent for p in (ROOT / "guidance").glob("*/__main__.py")}:
        assert (folder / "README.md").is_file(), folder.name
    for folder in ("guidance/train", "recipes", "benchmarks"):
        assert (ROOT / folder / "README.md").is_file(), folder


def test_the_front_page_is_short_and_leads_to_all_others():
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    assert front.count("\n") <= FRONT
    assert front.index("pip install . && ") < front.index("pip install '.[test]' && pytest")
    for page in pages_of_folders():
        folder = page.parent.relative_to(ROOT)
        assert f"]({folder}/" in front or f"]({folder})" in front, folder
    for name in (*PICTURES, *SCORING):
        assert f"python -m guidance.{name} " in front


def test_nothing_is_said_twice():
    """No sentence of a page of a folder stands on the front page too."""
    front = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for page in pages_of_folders():
        prose = re.sub(
            r"^(    .*|\|.*)$|```.*?```", "", page.read_text(encoding="utf-8"), flags=re.M
        )
        for sentence in re.split(r"(?<=[.:])\s+", " ".join(prose.split())):
            assert len(sentence) < 60 or sentence not in front, (page, sentence)


def test_run_folders_of_the_pages_are_made_by_their_commands():
    from guidance.prompts.grammar import parse_prompts
    from guidance.prompts.slug import run_name

    made, used = set(), set()
    for technique in PICTURES:
        for command in commands(f"guidance.{technique}"):
            used |= set(re.findall(r"outputs/([^/\s]+)", command))
            prompt = shlex.split(command)[0]
            if prompt[0] != "-":
                texts = [p.text for p in parse_prompts(prompt, every=1)]
                made.add(run_name(technique, texts, 0))
    assert used <= made
