"""The dashboard's files: what they may hold, and how they are served."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from tests.api.conftest import Site
from tests.api.talk import ask

from davylamp.api.pages import POLICY

PAGE = Path(str(files("davylamp.api") / "page"))
SCRIPTS = sorted(PAGE.glob("*.js"))
# What makes markup or code of text, or loads from where the policy cannot be seen to forbid it.
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|setHTML|srcdoc|\beval\b|new Function|javascript:|\.cssText|\bimport\(|dangerously"
    r"|setTimeout\(\s*[\"'`]|location\s*=[^=]|\.href\s*="
)
ELSEWHERE = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]", re.IGNORECASE)
NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.name)
def test_no_text_becomes_markup_or_code(script: Path) -> None:
    """No script has a sink through which a sandbox's string could become more than text."""
    text = script.read_text()
    assert SINKS.findall(text) == []
    assert ELSEWHERE.findall(text.replace(NAMESPACE, "")) == []


def test_the_document_has_nothing_inline() -> None:
    """No inline script, style or handler, and nothing that is loaded from elsewhere."""
    text = (PAGE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son\w+=", text) == []
    assert ELSEWHERE.findall(text) == []
    assert re.findall(r"url\(|@import", (PAGE / "style.css").read_text()) == []


def test_files_are_served_under_the_policy(site: Site) -> None:
    """Each file has the policy and a tag by which it is not sent twice; nothing else is there."""
    for file in PAGE.iterdir():
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        answer = ask(site, "GET", path, token=None)
        assert (answer.status, answer.body) == (200, file.read_bytes())
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert "unsafe" not in POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        again = {"If-None-Match": answer.headers["ETag"]}
        assert ask(site, "GET", path, token=None, headers=again).status == 304
    assert ask(site, "GET", "/page/", token=None).status == 404
