"""A hook of the documentation: formulas become MathML, so pages need no script and no network.

Docstrings may also write formulas and names as Sphinx does, with the roles math, class, func, meth.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_MATH_ROLE = re.compile(r":math:<code>(.*?)</code>", re.DOTALL)
_NAME_ROLE = re.compile(r":(?:class|func|meth):<code>~?(?:\w+\.)*(\w+)</code>")


def on_page_content(content: str, **_: Any) -> str:
    """Replace every formula of a rendered page."""
    content = _BLOCK.sub(lambda found: _mathml(found[1], "block"), content)
    content = _INLINE.sub(lambda found: _mathml(found[1], "inline"), content)
    content = _MATH_ROLE.sub(lambda found: _mathml(found[1], "inline"), content)
    return _NAME_ROLE.sub(r"<code>\1</code>", content)


def _mathml(formula: str, display: str) -> str:
    return convert(html.unescape(formula).strip(), display=display)
