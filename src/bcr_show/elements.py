"""Elements of a page, in which whatever is said is text: no string becomes markup, wherever it comes from.

The standard library's serialiser escapes texts and attributes; what it does not, contents of `script` and `style`, is our own.
"""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None


def e(tag: str, *children: Child, **attributes: object) -> Element:
    """An element. Names of attributes are written as in Python, `class_` and `data_a`; those that are None are left out."""
    element = Element(tag, {_name(name): clean(str(value)) for name, value in attributes.items() if value is not None})
    return fill(element, children)


def fill(element: Element, children: Iterable[Child]) -> Element:
    """The element with these at its end."""
    for child in children:
        if child is None:
            continue
        if isinstance(child, str):
            last = element[-1] if len(element) else None
            if last is None:
                element.text = (element.text or "") + clean(child)
            else:
                last.tail = (last.tail or "") + clean(child)
        else:
            element.append(child)
    return element


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def clean(text: str) -> str:
    """The text with escapes for what a page may not hold, and for what would turn round or hide what stands beside it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _escape(each) for each in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markup(root: Element) -> str:
    """The element as HTML."""
    return tostring(root, encoding="unicode", method="html")


def link(anchor: str, *children: Child) -> Element:
    """A link to a place of the same page."""
    return e("a", *children, href=f"#{anchor}")


def table(headings: Iterable[str], rows: Iterable[Element], **attributes: object) -> Element:
    """A table that scrolls by itself where the page is too narrow for it."""
    head = e("thead", e("tr", *(e("th", each, scope="col") for each in headings)))
    return e("div", e("table", head, e("tbody", *rows), **attributes), class_="scroll", tabindex="0")
