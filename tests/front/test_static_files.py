"""The files of the web UI as HTTP sees them, and what can be told about them without a browser."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from front.scripted_daemon import Daemon
from youtu_edge.front.http.static_files import CONTENT_TYPES, STATIC

FILES = sorted(path for path in STATIC.iterdir() if path.suffix in CONTENT_TYPES)
TEXTS = [path for path in FILES if path.suffix not in (".png", ".woff2")]
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def name_of(path: Path) -> str:
    return path.name


def table() -> dict[str, dict[str, str]]:
    """strings.js and its parts as key -> language -> text."""
    text = "\n".join(path.read_text("utf-8") for path in STATIC.glob("strings*.js"))
    entries = re.findall(r'^  (\w+): \{ en: "(.*)", zh: "(.*)" \},$', text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line.startswith("  ") and not line.startswith(("  //", "  ..."))]
    assert len(entries) == len(lines), "every line of the table has one key and both languages"
    assert len({key for key, _, _ in entries}) == len(entries), "a key occurs once"
    return {key: {"en": en, "zh": zh} for key, en, zh in entries}


def whole_style() -> bytes:
    """page.css with the files that it imports in their places."""
    parts = re.split(r'@import "(\w+\.css)";', (STATIC / "page.css").read_text("utf-8"))
    assert len(parts) > 5
    return "".join((STATIC / part).read_text("utf-8") if index % 2 else part for index, part in enumerate(parts)).encode()


def test_a_browser_gets_the_page_and_a_program_the_text(daemon: Daemon) -> None:
    """`/` follows Accept and says so to caches; curl's */* is a program's."""
    status, headers, page = daemon.request("GET", "/", headers=BROWSER)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page == (STATIC / "index.html").read_bytes()
    assert "Accept" in headers["vary"]
    _, headers, text = daemon.request("GET", "/", headers={"Accept": "*/*"})
    assert headers["content-type"].startswith("text/plain")
    assert text.startswith(b"youtu-edge ")
    assert "Accept" in headers["vary"]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_arrives_as_it_is_with_its_type_and_the_policy(daemon: Daemon, path: Path) -> None:
    """Plain and compressed are the same bytes; no browser guesses a type or runs a script from elsewhere."""
    url = "/" if path.suffix == ".html" else f"/ui/{path.name}"
    status, headers, plain = daemon.request("GET", url, headers=BROWSER)
    assert status == 200
    assert plain == (whole_style() if path.name == "page.css" else path.read_bytes())
    assert headers["content-type"] == CONTENT_TYPES[path.suffix]
    assert headers["x-content-type-options"] == "nosniff"
    if path.suffix in (".html", ".svg"):
        assert "unsafe" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
    _, headers, packed = daemon.request("GET", url, headers={**BROWSER, "Accept-Encoding": "gzip, deflate"})
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == plain


@pytest.mark.parametrize(
    ("accepted", "packed"), [("br, GZIP", True), ("gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)]
)
def test_a_file_is_compressed_only_for_those_who_accept_it(daemon: Daemon, accepted: str, packed: bool) -> None:
    """q=0 refuses."""
    _, headers, _ = daemon.request("GET", "/ui/main.js", headers={"Accept-Encoding": accepted})
    assert ("content-encoding" in headers) is packed


def test_a_browser_that_has_a_file_is_told_so(daemon: Daemon) -> None:
    """The ETag is that of the content: 304 without a body, also for a weak tag made by a proxy."""
    _, headers, _ = daemon.request("GET", "/ui/main.js")
    assert headers["cache-control"] == "no-cache"
    for tag in (headers["etag"], f"W/{headers['etag']}", f'"other", {headers["etag"]}', "*"):
        status, again, body = daemon.request("GET", "/ui/main.js", headers={"If-None-Match": tag})
        assert (status, body, again["etag"]) == (304, b"", headers["etag"]), tag
    assert daemon.request("GET", "/ui/main.js", headers={"If-None-Match": '"other"'})[0] == 200


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fservice.py", "%2e%2e%2f%2e%2e%2fconfig.py", "index.html", "%00", "main.js%20"]
)
def test_nothing_but_the_files_of_the_ui_is_served(daemon: Daemon, name: str) -> None:
    """No path of a request reaches the disk."""
    assert daemon.request("GET", f"/ui/{name}")[0] == 404


def test_every_text_is_there_in_both_languages_with_the_same_parameters() -> None:
    """A row of the table without Chinese, or with another {parameter} in it, would show on the page."""
    for key, texts in table().items():
        assert all(texts.values()), key
        assert set(re.findall(r"{\w+}", texts["en"])) == set(re.findall(r"{\w+}", texts["zh"])), key


def test_every_text_that_is_used_exists_and_every_text_that_exists_is_used() -> None:
    """Keys in markup and scripts, also those that are put together from a prefix."""
    sources = "\n".join(path.read_text("utf-8") for path in TEXTS if not path.name.startswith("strings"))
    in_markup = set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', sources))
    in_scripts = set(re.findall(r'"(\w+)"', sources))
    prefixes = tuple(re.findall(r"`(\w+_)\$\{", sources))
    keys = set(table())
    assert in_markup <= keys
    properties = r"\bt: \[?|label: \[?|placeholder: "
    calls = r"\bt\(|translate\(.+?, |label\([\w.]+, |\.wait\(|notice\(\"\w+\", |toast\("
    assert set(re.findall(rf'(?:{properties}|{calls})"(\w+)"', sources)) - keys == set()
    assert {key for key in keys - in_markup - in_scripts if not key.startswith(prefixes)} == set()


def test_every_error_that_the_page_can_meet_has_a_sentence_for_people() -> None:
    """Codes of docs/api.md, except those of requests that the page never makes."""
    documented = (Path(__file__).parents[2] / "docs/api.md").read_text("utf-8")
    codes = set(re.findall(r"^\| `(\w+)` \| [45]\d\d \|", documented, re.MULTILINE))
    assert "quota_exceeded" in codes
    explained = {key.removeprefix("error_") for key in table() if key.startswith("error_")}
    assert codes - {"model_not_found", "method_not_allowed", "not_offered"} == explained


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_the_page_needs_nothing_from_elsewhere(path: Path) -> None:
    """No address of another host is loaded, no markup is made of text, no style or handler is inline."""
    text = path.read_text("utf-8")
    assert not re.findall(r"""(?:src|href|url\(|import|fetch\()\s*=?\s*["']?(?:https?:)?//""", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    if path.suffix == ".html":
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", text)
    assert len(text.splitlines()) <= 300


def test_every_script_and_style_sheet_is_loaded_by_something() -> None:
    """A file that nothing refers to is dead."""
    text = "\n".join(path.read_text("utf-8") for path in TEXTS)
    assert [
        path.name for path in FILES if path.suffix != ".html" and not re.search(rf'["/]{re.escape(path.name)}"', text)
    ] == []


def test_what_the_page_needs_at_once_is_preloaded() -> None:
    """All scripts that main.js imports, directly or not, so that they are fetched together and not one after the other."""
    needed, unread = {"main.js"}, ["main.js"]
    while unread:
        text = (STATIC / unread.pop()).read_text("utf-8")
        new = set(re.findall(r'^import [^"]*"\./([\w.]+)";$', text, re.MULTILINE)) - needed
        needed |= new
        unread += new
    preloaded = re.findall(r'rel="modulepreload" href="ui/([\w.]+)"', (STATIC / "index.html").read_text("utf-8"))
    assert preloaded == sorted(needed - {"main.js"})


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_import_only_what_exists(path: Path) -> None:
    """Every imported file is there and exports the names that are asked of it."""
    for names, file in re.findall(r'^import (.+?) from "\./([\w.]+)";$', path.read_text("utf-8"), re.MULTILINE):
        exported = (STATIC / file).read_text("utf-8")
        for name in re.findall(r"\w+", names) if names.startswith("{") else []:
            assert re.search(rf"^export (?:async )?(?:function\*?|const|class) {name}\b", exported, re.MULTILINE), (
                file,
                name,
            )
