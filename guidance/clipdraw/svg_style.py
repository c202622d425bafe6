"""The style of every element of an SVG: CSS cascade, inheritance and variables.

Selectors are matched by cssselect2 and CSS is parsed by tinycss2. Presentation attributes come
first, then rules by specificity, then ``style``, then what is ``!important``.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter

import cssselect2
import tinycss2
from tinycss2.ast import Declaration

from guidance.clipdraw.svg_source import Source
from guidance.clipdraw.svg_values import color, length, measure

MAX_STYLES = 2**19  # letters of style sheets
MAX_MATCHING = 2**22  # elements × selectors, and steps from element to element on the way
MAX_SELECTORS = 3_000
MAX_VALUE = 2_000  # letters of one value after its variables are put in
MAX_VARIABLES = 50  # in one value and in those variables

PAINTS = {"fill": "black", "stroke": "none", "color": "black", "stop-color": "black"}
_LENGTHS = {"stroke-width", "stroke-dashoffset", "stroke-miterlimit", "fill-opacity",
            "stroke-opacity", "opacity", "stop-opacity", "x", "y", "width", "height", "r", "rx",
            "ry", "cx", "cy"}  # fmt: skip
INHERITED = {"fill", "stroke", "color", "fill-rule", "clip-rule", "fill-opacity", "stroke-opacity",
             "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit",
             "stroke-dasharray", "stroke-dashoffset", "visibility", "font-size", "paint-order",
             "marker-start", "marker-mid", "marker-end"}  # fmt: skip
_OTHERS = {"clip-path", "mask", "filter", "display", "overflow", "vector-effect", "transform",
           "transform-origin", "mix-blend-mode", "mask-type"}  # fmt: skip
KNOWN = INHERITED | _OTHERS | _LENGTHS | set(PAINTS)
_FONT_SIZES = {"xx-small": 9.6, "x-small": 12.0, "small": 14.2, "medium": 16.0, "large": 19.2,
               "x-large": 24.0, "xx-large": 32.0}  # fmt: skip

Style = dict[str, str]  # computed values; names that are missing have their initial value


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


class Styles:
    """The style sheets of one drawing, applied.

    Args:
        source: the drawing.
        left_out: counts what is not shown, by name.
    """

    def __init__(self, source: Source, left_out: Counter[str]) -> None:
        self._source = source
        self._left_out = left_out
        self._inline: dict[str, list[Declaration]] = {}
        self._declared: dict[ET.Element, Style] = {}
        self._rules: dict[ET.Element, list[list[Declaration]]] = {}
        self._read_sheets()

    def at(self, element: ET.Element) -> Style:
        """Return the style of an element where it stands in the file."""
        parent = self._source.parents.get(element)
        return self.under({} if parent is None else self.at(parent), element)

    def under(self, parent: Style, element: ET.Element) -> Style:
        """Return the style of an element whose parent, perhaps a ``<use>``, has style `parent`."""
        declared = self._declared.get(element)
        if declared is None:
            declared = self._declared[element] = self._cascade(element)
        style = {k: v for k, v in parent.items() if k in INHERITED or k.startswith("--")}
        style |= {k: v for k, v in declared.items() if k.startswith("--")}
        for name, raw in declared.items():
            if not name.startswith("--"):
                self._compute(style, parent, name, raw, element)
        return style

    def font_size(self, style: Style) -> float:
        """Return the font size in user units."""
        return float(style.get("font-size", 16.0))

    def _compute(self, style: Style, parent: Style, name: str, raw: str, element) -> None:
        """Put the value of one declaration into `style`."""
        value = raw
        if "var(" in raw:
            value = _substitute(raw, style)
            if value is None or not self._is_valid(name, value, element):
                value = "unset"
        word = value.strip().lower()
        if word in ("inherit", "unset", "revert", "revert-layer", "initial"):
            keeps = word == "inherit" or (word != "initial" and name in INHERITED)
            style.pop(name, None)
            if keeps and name in parent:
                style[name] = parent[name]
        elif name == "font-size":
            style[name] = str(self._font_size(word, parent))
        elif name == "color" and color(word) == "currentcolor":
            pass  # is inherited
        elif name in ("stroke-width", "stroke-dashoffset") and word.endswith(("em", "ex")):
            size = length(word, self.font_size(style), 0.0)  # inherited as what it is here
            style[name] = repr(size)
        else:
            style[name] = value.strip()

    def _font_size(self, word: str, parent: Style) -> float:
        before = self.font_size(parent)
        size = {"smaller": before / 1.2, "larger": before * 1.2, **_FONT_SIZES}.get(word)
        if size is None:
            try:
                size = length(word, before, before)
            except ValueError:
                size = None
        return before if size is None or not 0 <= size < 1e6 else size

    def _cascade(self, element: ET.Element) -> Style:
        """Return what is declared for one element, the strongest declaration of each name."""
        style: Style = {}
        for name, value in element.attrib.items():
            if name in KNOWN and self._is_valid(name, value, element):
                style[name] = value
        groups = [*self._rules.get(element, ()), self._inline_style(element.get("style", ""))]
        for important in (False, True):
            for declaration in (d for group in groups for d in group if d.important == important):
                name = declaration.name
                if not name.startswith("--"):
                    name = declaration.lower_name
                try:
                    text = tinycss2.serialize(declaration.value).strip()
                except RecursionError:  # brackets in brackets
                    continue
                names = [f"marker-{x}" for x in ("start", "mid", "end")]
                for each in names if name == "marker" else [name]:
                    if each.startswith("--") or (
                        each in KNOWN and ("var(" in text or self._is_valid(each, text, element))
                    ):
                        style.pop(each, None)
                        style[each] = text
        if "font-size" in style:  # before the lengths that are measured by it
            style = {"font-size": style.pop("font-size"), **style}
        return style

    def _is_valid(self, name: str, value: str, element: ET.Element) -> bool:
        """Return whether a value can be used; words that cannot are left as if not written."""
        word = value.strip().lower()
        if word in ("inherit", "unset", "initial", "revert", "revert-layer"):
            return True
        if name in PAINTS:
            is_paint = name in ("fill", "stroke") and (
                word == "none" or word.startswith(("url(", "context-"))
            )
            return is_paint or color(value.strip()) is not None
        if name not in _LENGTHS:
            return True
        try:
            return measure(value) is not None
        except ValueError as error:
            shown = value.strip()[:40]
            raise self._source.refuse(
                f"have a number as {name} of <{element.tag[:40]}> but has {shown!r}"
            ) from error

    def _inline_style(self, text: str) -> list[Declaration]:
        if text not in self._inline:
            self._inline[text] = self._declarations(text[:MAX_STYLES])
        return self._inline[text]

    def _declarations(self, content) -> list[Declaration]:
        try:
            found = tinycss2.parse_blocks_contents(content)
        except (ValueError, RecursionError):  # a number of thousands of digits; nested brackets
            return []
        return [d for d in found if isinstance(d, Declaration)]

    def _read_sheets(self) -> None:
        """Match the rules of all ``<style>`` elements."""
        text = ""
        for sheet in self._source.root.iter("style"):
            kind = sheet.get("type", "").strip().lower()
            if kind in ("", "text/css") and _shows(sheet.get("media", "")):
                text += "".join(sheet.itertext()) + "\n"
        text = re.sub(r"""url\(\s*["']?data:[^)]*\)""", "none", text)  # fonts and pictures
        if not text.strip():
            return
        if len(text) > MAX_STYLES:
            raise self._source.refuse(
                f"have at most {MAX_STYLES} characters of style sheets but has {len(text)}"
            )
        try:
            rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
            self._match(rules)
        except (ValueError, RecursionError, MemoryError, SyntaxError) as error:
            if isinstance(error, self._source.error):
                raise
            raise self._source.refuse("have valid style sheets but has not") from error
        except OverflowError as error:
            raise self._source.refuse(
                f"have at most {MAX_SELECTORS} selectors that match in {MAX_MATCHING} steps but "
                "needs more"
            ) from error

    def _match(self, rules: list) -> None:
        matcher = cssselect2.Matcher()
        for rule in self._flat(rules):
            declarations = self._declarations(rule.content)
            try:
                selectors = cssselect2.compile_selector_list(rule.prelude)
            except (cssselect2.SelectorError, NotImplementedError):
                continue  # as browsers do with selectors that they do not know
            for selector in selectors:
                if matcher.order >= MAX_SELECTORS:
                    raise OverflowError
                if selector.pseudo_element is None:
                    matcher.add_selector(selector, declarations)
        if not matcher.order:
            return
        root = _Wrapper.from_xml_root(self._source.root)
        stack = [iter([root])]
        while stack:
            element = next(stack[-1], None)
            if element is None:
                stack.pop()
                continue
            root.spend(1 + matcher.order // 4)
            matched = matcher.match(element)
            if matched:
                self._rules[element.etree_element] = [payload for *_, payload in matched]
            stack.append(element.iter_children())

    def _flat(self, rules: list) -> list:
        """Return the style rules, also those of ``@media`` blocks that apply."""
        flat = []
        for rule in rules:
            if rule.type == "qualified-rule":
                flat.append(rule)
            elif rule.type == "at-rule" and rule.lower_at_keyword == "import":
                self._left_out["@import"] += 1
            elif (
                rule.type == "at-rule"
                and rule.lower_at_keyword == "media"
                and rule.content
                and _shows(tinycss2.serialize(rule.prelude))
            ):
                flat += self._flat(tinycss2.parse_rule_list(rule.content, True, True))
        return flat


def _shows(media: str) -> bool:
    """Return whether a style sheet is meant for screens of any kind."""
    return any(m.strip().lower() in ("", "all", "screen", "only screen") for m in media.split(","))


def _substitute(text: str, style: Style) -> str | None:
    """Return `text` with the values of its variables, or None where one is missing."""
    for _ in range(MAX_VARIABLES):
        start = text.rfind("var(")  # the innermost first
        if start < 0:
            return text
        level, end = 1, start + 4
        while level and end < len(text):
            level += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        name, comma, fallback = text[start + 4 : end - 1].partition(",")
        value = style.get(name.strip(), fallback if comma else None)
        if value is None or level or len(text) + len(value) > MAX_VALUE:
            return None
        text = f"{text[:start]}{value.strip()}{text[end:]}"
    return None
