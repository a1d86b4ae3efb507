"""The dashboard in a real Chromium: live, safe from what sandboxes say, usable by everybody.

With ``DAVYLAMP_SCREENSHOTS=1`` the pictures under docs/images are made anew.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.api.conftest import Site
from tests.api.stage import CHIEF, SPAN, TRACE, Stage, played
from tests.api.talk import an_alert

from davylamp.attribution.model import Binding, ToolCall
from davylamp.events import AlertInfo, EvidenceInfo, LineageInfo, TlsInfo
from davylamp.incidents.model import Status
from davylamp.incidents.operations import IncidentOperations

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),  # one Chromium is enough
]

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
# Set by whatever gets to run that should not; and what the policy had to forbid.
WATCH = """
window.canary = [];
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Chromium, or skip."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: install it, as `make deps` does")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that somebody looks at, and what it did meanwhile."""

    page: Page
    site: Site
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def log_in(self) -> None:
        """Log in as a person does."""
        self.page.goto(self.site.url + "/")
        self.page.get_by_label("Token").fill(self.site.token())
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_text("Live", exact=True)).to_be_visible()

    def go(self, place: str) -> None:
        """Go to a view."""
        self.page.evaluate("(place) => { location.hash = place; }", place)

    def blameless(self) -> None:
        """Fail if anything ran that should not, was forbidden, or went elsewhere."""
        assert self.page.evaluate("window.canary") == []
        assert self.page.evaluate("window.violations") == []
        assert self.errors == []
        assert {one for one in self.requests if not one.startswith(self.site.url + "/")} == set()


type Open = Callable[..., Visit]


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Open]:
    """Open the page in a browser's context of its own."""
    with ExitStack() as stack:

        def start(**options: Any) -> Visit:
            context = chromium.new_context(
                viewport=options.pop("viewport", DESKTOP), timezone_id="UTC", **options
            )
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            context.add_init_script(WATCH)
            made = Visit(context.new_page(), site)
            made.page.on("request", lambda one: made.requests.append(one.url))
            made.page.on("pageerror", lambda one: made.errors.append(str(one)))
            made.page.on("dialog", lambda one: made.errors.append(one.message))
            return made

        yield start


def test_an_incident_shows_as_it_happens(visit: Open, site: Site) -> None:
    """Recorded in the store, it is there within 2 s; from it to the trace, and put to rest."""
    here = visit(permissions=["clipboard-read", "clipboard-write"])
    here.log_in()
    page = here.page
    expect(page.get_by_text("Nothing is open.")).to_be_visible()
    alert = an_alert("inc-live", container="sandbox-31", run="rlhf-20")
    site.store.run(IncidentOperations().record(alert))
    row = page.get_by_role("listitem").filter(has_text="sandbox-31")
    expect(row).to_contain_text("rlhf-20", timeout=2000)
    expect(page.get_by_role("status")).to_contain_text("New incident, high: CryptoNote login")
    expect(page).to_have_title("(1) davylamp")
    row.get_by_role("link").click()
    panel = page.get_by_role("article")
    expect(panel.get_by_role("heading", level=2)).to_have_text("CryptoNote login")
    for words in (TRACE, SPAN, "call-8f2", "41", "exp-4", "Nothing reached the pool"):
        expect(panel).to_contain_text(words)
    panel.get_by_role("button", name=re.compile("Copy trace id")).click()
    assert page.evaluate("navigator.clipboard.readText()") == TRACE
    honest = panel.get_by_role("region", name="If it was honest work")
    expect(honest).to_contain_text("davylamp blocks release 198.51.100.9:3333")
    expect(honest).to_contain_text("davylamp pack disable cryptonote-login")
    expect(honest).not_to_contain_text("actions release")  # policy did nothing
    later = an_alert("inc-live", container="sandbox-31", flow_id=2, dest_port=4444)
    site.store.run(IncidentOperations().record(later))
    expect(panel).to_contain_text("198.51.100.9:4444")
    with page.expect_download() as download:
        panel.get_by_role("link", name="Export bundle").click()
    assert download.value.suggested_filename == "inc-live.zip"
    panel.get_by_role("button", name="Resolve…").click()
    page.keyboard.type("container removed")
    page.keyboard.press("Enter")
    expect(panel).to_contain_text("container removed")
    expect(row).to_have_count(0)
    held = site.store.run(IncidentOperations().held("inc-live"))
    assert held is not None
    assert held.incident.status is Status.RESOLVED
    here.blameless()


def test_a_call_that_is_told_later_is_joined_by_time(visit: Open, site: Site) -> None:
    """An incident of no known tool call shows the one whose span comes after, with its trace."""
    now = time.time()
    binding = Binding(ip="10.0.0.9", container="late", lifecycle_id="late@1", valid_from=now - 60)
    site.store.run(site.store.operations.bind(binding, now))
    who = LineageInfo(grade="bound", container="late", lifecycle_id="late@1")
    Stage(site, now).record(an_alert("inc-late", at=now - 5, lineage=who))
    here = visit()
    here.log_in()
    here.go("#/incidents/inc-late")
    panel = here.page.get_by_role("article")
    expect(panel).to_contain_text("No tool call was on record when the flow opened.")
    call = ToolCall(
        tool_call_id="call-late",
        lifecycle_id="late@1",
        started=now - 10,
        ended=now - 1,
        traceparent=f"00-{TRACE}-{SPAN}-01",
    )
    site.store.run(site.store.operations.put_call(call))
    expect(panel).to_contain_text("On record since, and running at that time")
    for words in (TRACE, SPAN, "call-late"):
        expect(panel.locator(".part-trace")).to_contain_text(words)
    here.blameless()


HOSTILE = [
    "<img src=x onerror=\"canary.push('img')\">",
    "<script>canary.push('script')</script>",
    "</title></pre></script><svg onload=canary.push('svg')>",
    "javascript:canary.push('url')",
    "\"><iframe srcdoc='<script>parent.canary.push(1)</script>'>",
    "{{constructor.constructor('canary.push(2)')()}}",
    "${canary.push('template')}",
    "'-canary.push('quote')-'",
    "x" * 480,
    "a\u202eb\u2066c",
]


def hostile_stage(site: Site) -> str:
    """Have every string that a sandbox may influence be hostile; return the container's name."""
    now = time.time()
    evil = HOSTILE[0] + HOSTILE[1]
    binding = Binding(
        ip="10.0.0.66",
        lifecycle_id=HOSTILE[0],
        container=evil,
        image=HOSTILE[2],
        run_id=HOSTILE[3],
        rollout_id=HOSTILE[4],
        source=HOSTILE[5],
        labels={"team": HOSTILE[1]},
        valid_from=now - 60,
    )
    operations = site.store.operations
    site.store.run(operations.bind(binding, now))
    site.store.run(
        operations.put_call(
            ToolCall(
                tool_call_id=HOSTILE[2],
                lifecycle_id=HOSTILE[0],
                started=now - 30,
                tool=HOSTILE[1],
                traceparent=HOSTILE[6],
            )
        )
    )
    for number, text in enumerate(HOSTILE):
        who = LineageInfo(
            grade="bound",
            reason=text,
            container=evil,
            lifecycle_id=HOSTILE[0],
            image=text,
            run_id=text,
            experiment_id=text,
            rollout_id=text,
            trajectory_id=text,
            tool_call_id=text,
            tool=text,
            traceparent=text,
            source=text,
        )
        alert = an_alert(
            f"inc-{number}" if number else "inc-<b>0",
            flow_id=number,
            lineage=who,
            app_proto=text,
            alert=AlertInfo(
                signature_id=text,
                rev=1,
                signature=text,
                category="mining",
                severity=1,
                confidence=99,
            ),
            tls=TlsInfo(sni=text),
            evidence=(
                EvidenceInfo(
                    signature_id=text, direction=text, offset=0, length=9, excerpt=text, detail=text
                ),
            ),
            pcap_file=f"/evidence/{text}.pcap",
            pack=text,
        )
        Stage(site, now).record(alert)
    site.store.run(IncidentOperations().resolve("inc-1", HOSTILE[0], HOSTILE[1], now))
    return evil


def test_nothing_that_a_sandbox_says_runs(visit: Open, site: Site) -> None:
    """Hostile names, labels, agents and excerpts are text in every view, and nothing is loaded."""
    evil = hostile_stage(site)
    here = visit()
    here.log_in()
    page = here.page
    page.get_by_role("button", name="All").click()
    rows = page.locator(".case")
    expect(rows.first).to_contain_text("onerror")
    for number in range(rows.count()):
        rows.nth(number).click()
        expect(page.get_by_role("article")).to_contain_text("onerror")
        expect(page.locator(".timeline")).to_be_visible()
        page.get_by_role("button", name="Show raw bytes").click()
        expect(page.get_by_role("article")).to_contain_text("No packet of it can be read")
    assert page.locator("bdi").filter(has_text="\u202e").count() == 0
    for place, found in (
        ("#/flows", "onerror"),
        ("#/gateway", "constructor"),
        (f"#/lineage/{HOSTILE[0]}", "onload"),
        (f"#/lineage/{evil}", "198.51.100.9"),
        (f"#/lineage/{HOSTILE[1]}", "nothing is on record about"),
        (f"#/incidents/{HOSTILE[1]}", "no such incident"),
        (f"#/{HOSTILE[0]}", "Incidents"),
    ):
        here.go(place)
        expect(page.locator("main")).to_contain_text(found)
    odd = page.evaluate(
        "[...document.querySelectorAll('main script, main iframe, main img, main style,"
        " main object, [onerror], [onload], [style], [srcdoc]')].map((one) => one.outerHTML)"
    )
    assert odd == []
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(wide)
    here.blameless()


def faults(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical on the page as it is."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(Path(AXE_FILE_PATH).read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize(
    ("theme", "viewport"),
    [("light", DESKTOP), ("dark", DESKTOP), ("dark", PHONE)],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_no_fault(visit: Open, site: Site, theme: str, viewport: dict[str, int]) -> None:
    """In both themes and at a phone's width no view is at fault or too wide."""
    played(site)
    here = visit(color_scheme=theme, viewport=viewport)
    page = here.page
    page.goto(site.url + "/")
    expect(page.get_by_label("Token")).to_be_focused()
    assert faults(page) == []
    here.log_in()
    expect(page.locator(".case")).to_have_count(2)
    expect(page.locator(".tile").first).to_be_visible()
    assert faults(page) == []
    if viewport == PHONE:
        picture(page, "dashboard-phone", theme, "dark")
    page.locator(".case").first.click()
    expect(page.locator(".timeline .deed")).to_have_count(1)
    expect(page.get_by_role("article")).to_contain_text("everything from it is refused")
    if viewport == DESKTOP:
        page.set_viewport_size({"width": 1280, "height": 1260})
        picture(page, "dashboard-incident", theme, "light")
    page.get_by_role("button", name="Resolve…").click()
    page.get_by_role("button", name="Show raw bytes").click()
    expect(page.locator("pre.hex")).to_contain_text("XMRig")
    assert faults(page) == []
    for place in ("#/flows", "#/gateway", "#/lineage/sandbox-7"):
        here.go(place)
        expect(page.locator("td").first).to_be_visible()
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def picture(page: Page, name: str, theme: str, wanted: str) -> None:
    """Keep a picture for the documentation, if asked to."""
    if theme == wanted and os.environ.get("DAVYLAMP_SCREENSHOTS"):
        IMAGES.mkdir(exist_ok=True)
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=IMAGES / f"{name}.png")


def test_it_is_used_with_the_keyboard_alone(visit: Open, site: Site) -> None:
    """Skip link, log-in, list, incident, copy and back again, without a mouse."""
    stage: Stage = played(site)
    here = visit()
    page = here.page
    page.goto(site.url + "/")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(site.token())
    page.keyboard.press("Enter")
    expect(page.locator(".case")).to_have_count(2)
    expect(page.locator("main")).to_be_focused()
    page.reload()
    expect(page.locator(".case")).to_have_count(2)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    pressed = tabs_until(page, "a.case")
    assert pressed <= 6  # three filters, the search field, the list
    page.keyboard.press("ArrowDown")
    expect(page.locator(".case").nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".case").nth(1)).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator(f"[data-key='{CHIEF}']")).to_be_focused()
    # News must not take the list from under a person's fingers.
    stage.record(an_alert("inc-news", container="sandbox-40", flow_id=77))
    expect(page.locator(".case")).to_have_count(3)
    expect(page.locator(f"[data-key='{CHIEF}']")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2)).to_be_focused()
    tabs_until(page, "button.copy")
    tabs_until(page, ".part-trace button.copy")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("trace id")
    page.keyboard.press("Escape")
    expect(page.locator(f"[data-key='{CHIEF}']")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    tabs_until(page, "a[href='#/flows']", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Flows")).to_be_visible()
    expect(page.get_by_role("link", name="Flows")).to_be_focused()
    here.blameless()


def tabs_until(page: Page, selector: str, key: str = "Tab") -> int:
    """Press Tab until something has the focus; return how often."""
    for pressed in range(1, 40):
        page.keyboard.press(key)
        if page.evaluate("(one) => document.activeElement.matches(one)", selector):
            return pressed
    raise AssertionError(f"Tab does not come to {selector}")


def test_a_lost_stream_is_said_and_made_good(visit: Open, site: Site) -> None:
    """While it is lost the page says so; back again it has what it missed; a session ends."""
    here = visit()
    here.log_in()
    page = here.page
    page.context.set_offline(True)
    site.run(closed(site))
    expect(page.get_by_text("Reconnecting")).to_be_visible()
    site.store.run(IncidentOperations().record(an_alert("inc-missed", container="sandbox-50")))
    page.context.set_offline(False)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.locator(".case")).to_contain_text("sandbox-50")
    theme = page.get_by_role("button", name=re.compile("colours"))
    for wanted in ("light", "dark", None):
        theme.click()
        assert page.evaluate("document.documentElement.dataset.theme ?? null") == wanted
    page.context.clear_cookies()
    site.run(closed(site))
    expect(page.get_by_text("Your log-in is over")).to_be_visible()


async def closed(site: Site) -> None:
    """End every stream, from within the server's loop."""
    site.board.hub.close()
