// The list of incidents, newest alert first and live, beside the one that is open.

import { ask } from "./api.js";
import { announce, h, put, redraw, said } from "./dom.js";
import { ago, clock, endpoint, moment, plural } from "./format.js";
import { incidentPanel } from "./incident.js";
import { overview } from "./overview.js";
import { sureness, whoIs } from "./words.js";

const PAGE = 50, MOST = 500;
const FILTERS = [["open", "Open"], ["resolved", "Resolved"], ["", "All"]];

export function incidentsView({ main, argument, state, failed }) {
  const known = new Map();
  let next = "", filter = "open", words = "", loaded = false, trouble = "", opened = "";
  let resting = ""; // where Tab comes back to in the list

  const numbers = h("section", { class: "overview", "aria-label": "Throughput and verdicts" });
  const list = h("ul", { class: "cases", "aria-label": "Incidents", keydown: walk });
  const foot = h("div", { class: "list-foot" });
  const search = h("input", {
    type: "search", class: "search", placeholder: "Container, run, signature\u2026", "aria-label": "Find among incidents",
    input: () => { words = search.value.toLowerCase(); draw(); },
  });
  const filters = h("div", { class: "filters", role: "group", "aria-label": "Which incidents" });
  const panel = h("article", { class: "panel", "aria-live": "off" });
  const split = h("div", { class: "split" },
    h("section", { class: "list", "aria-labelledby": "list-title" },
      h("div", { class: "list-head" }, h("h1", { id: "list-title" }, "Incidents"), filters, search), list, foot),
    panel);
  put(main, numbers, split);
  const shown = incidentPanel({ panel, state, failed, close: () => { location.hash = "#/incidents"; } });

  function drawFilters() {
    redraw(filters, FILTERS.map(([value, title]) => h("button", {
      type: "button", "data-key": `filter-${value}`, "aria-pressed": String(filter === value),
      click: () => { filter = value; drawFilters(); load(); },
    }, title)));
  }

  function matching() {
    return [...known.values()]
      .filter((one) => !filter || one.status === filter)
      .filter((one) => !words || textOf(one).includes(words))
      .sort((a, b) => (a.last_seen < b.last_seen ? 1 : a.last_seen > b.last_seen ? -1 : a.id < b.id ? 1 : -1));
  }

  function draw() {
    const found = matching();
    const open = [...known.values()].filter((one) => one.status === "open").length;
    document.title = open ? `(${open}${next || known.size >= MOST ? "+" : ""}) davylamp` : "davylamp";
    redraw(list, found.map((one) => row(one)));
    if (!list.querySelector("[tabindex='0']")) list.querySelector("a")?.setAttribute("tabindex", "0");
    redraw(foot,
      !loaded && !trouble && h("p", { class: "quiet" }, "Loading incidents\u2026"),
      trouble && h("p", { class: "bad" }, `${trouble}. `, h("button", { type: "button", "data-key": "again", click: load }, "Try again")),
      loaded && found.length === 0 && empty(),
      loaded && known.size >= MOST && h("p", { class: "quiet" }, `No more than ${MOST} are loaded here; davylamp incidents list has all of them.`),
      loaded && next && h("button", { type: "button", "data-key": "more", click: () => load(true) }, "Show older ones"));
  }

  function empty() {
    if (words) return h("p", { class: "quiet" }, "None of the incidents loaded here is like that.");
    if (filter !== "open") return h("p", { class: "quiet" }, "There are none on record.");
    const seen = state.stats ? ` ${plural(state.stats.flows, "flow")} inspected since the workers started.` : "";
    return h("div", { class: "calm" }, h("p", {}, "Nothing is open."),
      h("p", { class: "quiet" }, `What looks like mining shows here the moment it is found.${seen}`));
  }

  function row(one) {
    const [sure] = sureness(one.who);
    return h("li", {}, h("a", {
      href: `#/incidents/${encodeURIComponent(one.id)}`, "data-key": one.id, class: `case level-${one.severity}`,
      "aria-current": one.id === opened ? "true" : null, tabindex: one.id === resting ? "0" : "-1",
    },
      h("span", { class: "case-top" },
        h("span", { class: `level level-${one.severity}` }, one.severity),
        one.status === "resolved" && h("span", { class: "tag" }, "resolved"),
        one.delivered > 0 && h("span", { class: "tag bad" }, "went through"),
        h("time", { datetime: one.last_seen, title: moment(one.last_seen) }, ago(one.last_seen))),
      h("strong", { class: "case-title" }, said(one.title || one.id)),
      h("span", { class: "case-who" }, said(whoIs(one)), h("span", { class: `sure sure-${one.who?.grade ?? "unknown"}` }, sure)),
      h("span", { class: "case-more" },
        one.who?.run_id && [said(one.who.run_id), " \u00b7 "],
        one.destination && ["to ", said(one.destination.name || endpoint(one.destination.ip, one.destination.port))],
        one.destinations > 1 && ` and ${one.destinations - 1} more`,
        ` \u00b7 ${plural(one.alerts, "alert")}`)));
  }

  // Arrow keys walk the list; Tab goes past it, as past any one control.
  function walk(event) {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const target = links[Math.min(Math.max(to, 0), links.length - 1)];
    for (const one of links) one.tabIndex = one === target ? 0 : -1;
    resting = target.dataset.key;
    target.focus();
  }

  async function load(more = false) {
    const older = more === true;
    const query = new URLSearchParams({ limit: PAGE, ...(filter && { status: filter }), ...(older && { after: next }) });
    try {
      const page = await ask(`/api/v1/incidents?${query}`);
      if (!older) known.clear();
      for (const one of page.incidents) known.set(one.id, one);
      next = known.size < MOST ? page.next ?? "" : "";
      loaded = true;
      trouble = "";
    } catch (error) {
      if (failed(error)) return;
      trouble = error.message;
    }
    draw();
  }

  function open(id) {
    opened = id;
    resting = id || resting;
    split.classList.toggle("is-open", Boolean(id));
    shown.open(id);
    draw();
    if (!id) (list.querySelector("[tabindex='0']") ?? search).focus({ preventScroll: true });
  }

  drawFilters();
  draw();
  load();
  opened = resting = argument;
  split.classList.toggle("is-open", Boolean(argument));
  shown.open(argument);

  return {
    open,
    hello: () => { if (loaded) load(); shown.again(); },
    incident(one) {
      const fresh = loaded && !known.has(one.id);
      known.set(one.id, one);
      if (known.size > MOST) known.delete(matching().at(-1)?.id);
      draw();
      if (fresh && one.status === "open") announce(`New incident, ${one.severity}: ${one.title}, ${whoIs(one)}, ${clock(one.last_seen)}`);
      shown.changed(one);
    },
    lineage: (event) => shown.lineage(event),
    tick() {
      overview(numbers, state);
      if (!list.contains(document.activeElement)) draw();
    },
    leave: () => shown.close(),
  };
}

function textOf(one) {
  const who = one.who ?? {};
  return [one.id, one.title, whoIs(one), who.run_id, who.experiment_id, who.tool_call_id, one.severity,
    ...(one.sources ?? []), one.destination?.ip, one.destination?.name].join(" ").toLowerCase();
}
