"""What browsers are shown: the description of the interface, as JSON and as a page without a script, and the live view."""

import html
import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
LIVE_PAGE = HERE / "live.html"
METHODS = ("get", "put", "post", "delete")
STYLE = """:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.92em}h2{margin-top:2.2em;border-top:1px solid #8886;padding-top:.8em}
.m{font-weight:700;text-transform:uppercase}td{padding:.15rem 1rem .15rem 0;vertical-align:top}"""


@cache
def described() -> dict[str, Any]:
    """The description of the interface, as plain data."""
    document: dict[str, Any] = yaml.safe_load((HERE / "openapi.yaml").read_text())
    return document


@cache
def openapi_json() -> bytes:
    """The same as JSON."""
    return json.dumps(described(), ensure_ascii=False, default=str).encode()


@cache
def api_page() -> bytes:
    """The same for people: one page that needs nothing else."""
    document = described()
    parts = [f"<h1>{_text(document['info']['title'])}</h1><p>{_text(document['info']['description'])}</p>",
             '<p>The same for programs: <a href="/openapi.json">openapi.json</a></p>']  # fmt: skip
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                parts.append(_operation(path, method, item[method], item.get("parameters", [])))
    body = "".join(parts)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    page = f"{head}<title>{_text(document['info']['title'])}</title><style>{STYLE}</style><body>{body}</body></html>"
    return page.encode()


def _operation(path: str, method: str, operation: dict[str, Any], shared: list[Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{_text(each['name'])}</code></td><td>{_text(each['in'])}</td><td>{_text(each.get('description', ''))}</td></tr>"
        for each in map(_resolved, [*shared, *operation.get("parameters", [])])
    )
    responses = "".join(
        f"<tr><td><code>{_text(str(status))}</code></td><td>{_text(_resolved(each)['description'])}</td></tr>"
        for status, each in operation["responses"].items()
    )
    return (
        f'<h2><span class="m">{method}</span> <code>{_text(path)}</code></h2><p>{_text(operation["summary"])}</p>'
        f"<table>{parameters}</table><h3>Answers</h3><table>{responses}</table>"
    )


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    if "$ref" not in part:
        return part
    found: Any = described()
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    resolved: dict[str, Any] = found
    return resolved


def _text(text: str) -> str:
    return html.escape(text)
