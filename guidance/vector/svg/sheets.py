"""Which declarations of an SVG's style sheets are for which element.

CSS is parsed by tinycss2 and selectors are matched by cssselect2, in a bounded number of steps.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from typing import NamedTuple

import cssselect2
import tinycss2

from guidance.vector.svg.source import Source

MAX_STYLES = 2**19  # letters of style sheets
MAX_SELECTORS = 3_000
MAX_MATCHING = 2**21  # elements × selectors, and steps from element to element on the way

_PLAIN = re.compile(r"""[^"'\\{}\[\]@!<]*""")  # styles that can be read by splitting
_NAME = re.compile(r"-{0,2}[A-Za-z_][\w-]*")


class Declared(NamedTuple):
    """A declaration: its name, in small letters unless it is a variable's, and its value."""

    name: str
    text: str
    important: bool = False


Rules = list[list[Declared]]


class _Wrapper(cssselect2.ElementWrapper):
    """Counts the steps that matching takes, as nested selectors may take very many."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._steps = [0] if self.parent is None else self.parent._steps

    def spend(self, n: int) -> None:
        """Count `n` steps in the account of the whole document."""
        self._steps[0] += n
        if self._steps[0] > MAX_MATCHING:
            raise OverflowError

    @property
    def ancestors(self):
        here = self.parent
        while here is not None:
            self.spend(1)
            yield here
            here = here.parent

    @property
    def previous_siblings(self):
        here = self.previous
        while here is not None:
            self.spend(1)
            yield here
            here = here.previous

    def iter_siblings(self):
        for sibling in super().iter_siblings():
            self.spend(8)  # as wrappers are made anew
            yield sibling

    @property
    def etree_siblings(self):
        self.spend(1 + len(self._siblings) // 4)
        return self._siblings

    @etree_siblings.setter
    def etree_siblings(self, siblings: list[ET.Element]) -> None:
        self._siblings = siblings


def declarations(content: str | list) -> list[Declared]:
    """Return the declarations of a rule or of a ``style`` attribute, without those in error."""
    if isinstance(content, str) and is_plain(content):
        pairs = (part.partition(":") for part in content.split(";"))
        named = ((name.strip(), text.strip()) for name, _, text in pairs)
        return [Declared(_lower(n), text) for n, text in named if text and _NAME.fullmatch(n)]
    found = []
    try:
        for each in tinycss2.parse_blocks_contents(content):
            if each.type == "declaration":
                text = tinycss2.serialize(each.value).strip()
                found.append(Declared(_lower(each.name), text, each.important))
    except (ValueError, RecursionError):  # a number of thousands of digits; nested brackets
        pass
    return found


def is_plain(text: str) -> bool:
    """Return whether a style is read by splitting it, which is fifty times as fast."""
    if "/*" in text or not _PLAIN.fullmatch(text):
        return False
    outer = re.sub(r"\([^();]*\)", "", text)
    return "(" not in outer and ")" not in outer


def _lower(name: str) -> str:
    return name if name.startswith("--") else name.lower()


def matched_rules(source: Source, left_out: Counter[str]) -> dict[ET.Element, Rules]:
    """Return the declarations of all ``<style>`` elements by the element that they are for.

    Those of one element come rule by rule, the more specific ones later.

    Raises:
        GuidanceError: the style sheets are too large, or match in too many steps.
    """
    text = ""
    for sheet in source.root.iter("style"):
        kind = sheet.get("type", "").strip().lower()
        if kind in ("", "text/css") and _shows(sheet.get("media", "")):
            text += "".join(sheet.itertext()) + "\n"
    text = re.sub(r"""url\(\s*["']?data:[^()]*\)""", "none", text)  # fonts and pictures
    if not text.strip():
        return {}
    if len(text) > MAX_STYLES:
        raise source.refuse(
            f"have at most {MAX_STYLES} characters of style sheets but has {len(text)}"
        )
    try:
        rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
        return _match(rules, source, left_out, text.count("["))
    except (ValueError, RecursionError, MemoryError, SyntaxError) as error:
        if isinstance(error, source.error):
            raise
        raise source.refuse("have valid style sheets but has not") from error
    except OverflowError as error:
        raise source.refuse(
            f"have at most {MAX_SELECTORS} selectors that match in {MAX_MATCHING} steps but "
            "needs more"
        ) from error


def _match(
    rules: list, source: Source, left_out: Counter[str], searches: int
) -> dict[ET.Element, Rules]:
    found: dict[ET.Element, Rules] = {}
    matcher = cssselect2.Matcher()
    for rule in _flat(rules, left_out):
        declared = declarations(rule.content)
        try:
            selectors = cssselect2.compile_selector_list(rule.prelude)
        except (cssselect2.SelectorError, NotImplementedError):
            continue  # as browsers do with selectors that they do not know
        for selector in selectors:
            if matcher.order >= MAX_SELECTORS:
                raise OverflowError
            if selector.pseudo_element is None:
                matcher.add_selector(selector, declared)
    if not matcher.order:
        return found
    root = _Wrapper.from_xml_root(source.root)
    stack = [iter([root])]
    while stack:
        element = next(stack[-1], None)
        if element is None:
            stack.pop()
            continue
        read = sum(map(len, element.etree_element.attrib.values())) if searches else 0
        root.spend(1 + matcher.order // 4 + searches * read // 10)
        matched = matcher.match(element)
        if matched:
            found[element.etree_element] = [payload for *_, payload in matched]
        stack.append(element.iter_children())
    return found


def _flat(rules: list, left_out: Counter[str]) -> list:
    """Return the style rules, also those of ``@media`` blocks that apply."""
    flat = []
    for rule in rules:
        if rule.type == "qualified-rule":
            flat.append(rule)
        elif rule.type == "at-rule" and rule.lower_at_keyword == "import":
            left_out["@import"] += 1
        elif (
            rule.type == "at-rule"
            and rule.lower_at_keyword == "media"
            and rule.content
            and _shows(tinycss2.serialize(rule.prelude))
        ):
            flat += _flat(tinycss2.parse_rule_list(rule.content, True, True), left_out)
    return flat


def _shows(media: str) -> bool:
    """Return whether a style sheet is meant for screens of any kind."""
    return any(m.strip().lower() in ("", "all", "screen", "only screen") for m in media.split(","))
