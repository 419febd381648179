"""Serves the pages of all runs in a folder, to this machine only."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit
from xml.etree.ElementTree import Element

from bcr_run.plain_files import contents
from bcr_show.elements import clean, e, markup, table
from bcr_show.page import page_of, style_of
from bcr_show.run_reading import NoRun, read_run

HOST = "127.0.0.1"


def list_of(base: Path) -> str:
    """The page that lists the runs in a folder, the newest first."""
    folders = sorted((each for each in base.iterdir() if each.is_dir() and not each.is_symlink()), key=lambda each: -each.stat().st_mtime)
    rows = [row for row in map(_row, folders) if row is not None]
    body = [e("h1", "Runs"), e("p", str(base), class_="dim")]
    body.append(
        table(("verdict", "scenario", "operations", "reconfigurations", "struck", "folder"), rows) if rows else e("p", "There are none.")
    )
    head = e("head", e("meta", charset="utf-8"), e("meta", name="viewport", content="width=device-width, initial-scale=1"),
             e("meta", name="color-scheme", content="light dark"), e("title", "Runs"), e("style", style_of()))  # fmt: skip
    return "<!DOCTYPE html>\n" + markup(e("html", head, e("body", e("main", *body)), lang="en"))


def _row(folder: Path) -> Element | None:
    try:
        result = json.loads(contents(folder / "result.json").decode())
        verdict = "violated" if result.get("breaches") else str(result["verdict"])
        cells = (result["scenario"], f"{result['operations']:,}", str(len(result["reconfigurations"])), str(len(result["faults_injected"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if not any(folder.glob("*.log")):
            return None
        verdict, cells = "no result", ("", "", "", "")
    sign = e("span", verdict, class_=f"verdict v-{verdict.replace(' ', '-')}")
    return e("tr", e("td", sign), *(e("td", str(cell)) for cell in cells), e("td", e("a", folder.name, href=f"/{quote(folder.name)}/")))


class _Handler(BaseHTTPRequestHandler):
    base: ClassVar[Path]

    def do_GET(self) -> None:
        # Whatever site makes a browser ask us by another name gets nothing.
        if (self.headers.get("Host") or "").rpartition(":")[0] not in (HOST, "localhost"):
            self._answer(403, "text/plain", "ask for 127.0.0.1")
            return
        name = unquote(urlsplit(self.path).path).strip("/")
        if not name:
            self._answer(200, "text/html", list_of(self.base))
            return
        folder = self.base / name
        if name in (".", "..") or "/" in name or "\0" in name or not folder.is_dir():
            self._answer(404, "text/plain", "there is no such run")
            return
        try:
            self._answer(200, "text/html", page_of(read_run(folder)))
        except NoRun as problem:
            self._answer(404, "text/plain", clean(str(problem)))

    def _answer(self, status: int, kind: str, text: str) -> None:
        data = text.encode("utf-8", errors="backslashreplace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: whoever asks sees what came of it."""


def server_for(base: Path, port: int) -> ThreadingHTTPServer:
    """A server, on a free port where that is 0, that has begun to listen."""
    return ThreadingHTTPServer((HOST, port), type("Handler", (_Handler,), {"base": base}))
