// One incident: who, what, why, how sure; the line of the trace; timeline, lineage, evidence.

import { ask } from "./api.js";
import { announce, copyable, h, put, redraw, said } from "./dom.js";
import { evidence } from "./evidence.js";
import { endpoint, moment, plural, traceOf } from "./format.js";
import { graph } from "./graph.js";
import { timeline } from "./timeline.js";
import { gotThrough, OUTCOME, sureness, whoIs } from "./words.js";

const SETTLE_MS = 250, UNDONE_SHOWN = 3;

export function incidentPanel({ panel, state, failed, close }) {
  let wanted = "", view = null, dossier = null, trouble = "", waiting = 0, resolving = false;
  let raw = { state: "none" };
  const resize = new ResizeObserver(() => view && drawPictures());
  resize.observe(panel);

  async function load() {
    const id = wanted;
    try {
      const found = await ask(`/api/v1/incidents/${encodeURIComponent(id)}`);
      const subject = found.incident.who?.lifecycle_id || found.incident.sources?.[0] || "";
      // Tool calls that were told after the alert are only in lineage's record.
      const record = subject && await ask(`/api/v1/lineage/${encodeURIComponent(subject)}?limit=512`)
        .catch((error) => { if (error.status === 404) return null; throw error; });
      if (id !== wanted) return;
      // Members that have their usual value are left out of an answer.
      found.incident.status ??= "open";
      [view, dossier, trouble] = [found, record || null, ""];
    } catch (error) {
      if (id !== wanted || failed(error)) return;
      trouble = error.status === 404 ? "There is no such incident on record" : error.message;
    }
    draw();
  }

  function open(id) {
    if (id !== wanted) [view, dossier, trouble, resolving, raw] = [null, null, "", false, { state: "none" }];
    wanted = id;
    if (!id) { draw(); return; }
    draw();
    load().then(() => { if (matchMedia("(max-width: 55rem)").matches || document.activeElement?.closest(".cases")) panel.querySelector("h2")?.focus(); });
  }

  function again() {
    clearTimeout(waiting);
    if (wanted) waiting = setTimeout(load, SETTLE_MS);
  }

  function draw() {
    if (!wanted) {
      put(panel, h("p", { class: "quiet middle" }, "Choose an incident: who did it, what, how sure that is, and the line of the trainer\u2019s trace."));
    } else if (trouble) {
      put(panel, back(), h("p", { class: "bad" }, `${trouble}. `), h("button", { type: "button", click: load }, "Try again"));
    } else if (!view) {
      put(panel, back(), h("p", { class: "quiet" }, "Loading\u2026"));
    } else {
      redraw(panel, back(), head(), trace(), whatAndWhy(),
        section("Timeline", "when", h("div", { class: "picture", id: "timeline" })),
        section("Lineage", "lineage", h("div", { class: "picture", id: "graph" })),
        section("Evidence", "evidence", h("div", { id: "evidence" })),
        section("What happened", "moments", moments()),
        section("If it was honest work", "honest", honest()));
      drawPictures();
    }
  }

  function drawPictures() {
    const at = (id) => panel.querySelector(`#${id}`);
    if (!at("timeline")) return;
    put(at("timeline"), timeline(view, dossier, at("timeline").clientWidth));
    put(at("graph"), graph(view, at("graph").clientWidth));
    redraw(at("evidence"), evidence(view, raw, state.scopes, panel.clientWidth, reveal));
  }

  async function reveal() {
    raw = { state: "loading" };
    drawPictures();
    try {
      raw = { state: "there", page: await ask(`/api/v1/incidents/${encodeURIComponent(wanted)}/packets`) };
    } catch (error) {
      if (failed(error)) return;
      raw = { state: "failed", message: error.message };
    }
    drawPictures();
  }

  const back = () => h("a", { class: "back", href: "#/incidents", "data-key": "back" }, "\u2190 All incidents");

  function head() {
    const one = view.incident;
    const may = state.scopes.includes("act");
    const query = may ? "" : "?packets=false";
    return h("header", { class: "panel-head" },
      h("p", { class: "panel-tags" },
        h("span", { class: `level level-${one.severity}` }, one.severity),
        h("span", { class: "tag" }, one.status === "resolved" ? "resolved" : one.reopened ? "open, again" : "open"),
        h("span", { class: "quiet" }, `${moment(one.first_seen)} \u2013 ${moment(one.last_seen)}`)),
      h("h2", { tabindex: "-1", "data-key": "title" }, said(one.title || one.id)),
      h("p", { class: "panel-id" }, copyable(one.id, "incident id")),
      h("div", { class: "actions" },
        h("a", { class: "button", href: `/api/v1/incidents/${encodeURIComponent(one.id)}/bundle${query}`, download: true, "data-key": "bundle" }, may ? "Export bundle" : "Export without packets"),
        may && one.status === "open" && h("button", { type: "button", "data-key": "resolve", "aria-expanded": String(resolving), click: () => { resolving = !resolving; draw(); panel.querySelector("#note")?.focus(); } }, "Resolve\u2026")),
      may && resolving && one.status === "open" && resolveForm(),
      one.resolution && one.status === "resolved" && h("p", { class: "resolution" }, `Resolved ${moment(one.resolution.timestamp)} by `, said(one.resolution.by || "?"), one.resolution.note ? ": " : "", said(one.resolution.note ?? "")));
  }

  function resolveForm() {
    const note = h("input", { id: "note", maxlength: 500, "data-key": "note", autocomplete: "off" });
    const message = h("span", { class: "bad", role: "alert" });
    return h("form", {
      class: "resolve",
      submit: async (event) => {
        event.preventDefault();
        try {
          await ask(`/api/v1/incidents/${encodeURIComponent(wanted)}/resolve`, { method: "POST", body: { note: note.value } });
          resolving = false;
          announce("The incident is resolved");
          await load();
          panel.querySelector("h2")?.focus();
        } catch (error) {
          if (!failed(error)) message.textContent = error.message;
        }
      },
    }, h("label", { for: "note" }, "What was found, what was done"), note,
      h("button", { type: "submit", class: "main", "data-key": "resolve-now" }, "Resolve"), message);
  }

  // From here to the line of the trainer's trace.
  function trace() {
    const who = view.incident.who ?? {};
    const calls = view.incident.calls ?? [];
    const sure = calls.filter((one) => one.sure);
    const [traceId] = traceOf(who.traceparent);
    const rows = (sure.length ? sure : calls).slice(0, 8);
    const title = sure.length === 1 ? "The line of the trace" : sure.length ? "The lines of the trace" : calls.length ? "The line of the trace: one of these" : "The line of the trace";
    return section(title, "trace",
      rows.map((one, at) => facts(`call-${at}`, [
        ["Trace id", one.trace_id], ["Tool call", one.tool_call_id], ["Span id", one.span_id],
        ["Tool", one.tool], ["Step", one.step], ["Trajectory", one.trajectory_id],
      ], true)),
      rows.length === 0 && h("p", { class: "quiet" }, "No tool call was on record when the flow opened."),
      rows.length === 0 && facts("trace", [["Trace id", traceId], ["Step", who.step]], true),
      later(rows));
  }

  // Calls that lineage learnt of after the alert, as traces come when a span has ended.
  function later(rows) {
    const named = new Set(rows.map((one) => one.tool_call_id));
    const times = view.alerts.map((one) => Date.parse(one.flow_start) / 1000);
    const found = (dossier?.calls ?? []).filter((call) => !named.has(call.tool_call_id)
      && times.some((at) => call.started <= at && (call.ended === undefined || call.ended === null || at <= call.ended))).slice(0, 8);
    if (!found.length) return null;
    return [h("h4", {}, "On record since, and running at that time"), found.map((call, at) => {
      const [id, spanId] = traceOf(call.traceparent);
      return facts(`later-${at}`, [["Trace id", id], ["Tool call", call.tool_call_id], ["Span id", spanId], ["Tool", call.tool], ["Step", call.step], ["Trajectory", call.trajectory_id]], true);
    })];
  }

  function whatAndWhy() {
    const one = view.incident, who = one.who ?? {};
    const [sure, because] = sureness(who);
    return h("div", { class: "columns" },
      section("Who", "who",
        h("p", { class: "lead" }, who.container ? h("a", { href: `#/lineage/${encodeURIComponent(who.lifecycle_id || who.container)}`, "data-key": "who" }, said(whoIs(one))) : said(whoIs(one))),
        h("p", {}, h("span", { class: `sure sure-${who.grade ?? "unknown"}` }, sure), ` \u2013 ${because}`, who.reason ? ["; ", said(who.reason)] : ""),
        facts("who", [["Experiment", who.experiment_id], ["Run", who.run_id], ["Rollout", who.rollout_id], ["Trajectory", who.trajectory_id],
          ["Image", who.image], ["Address", (one.sources ?? []).join(", ")], ["Lifecycle", who.lifecycle_id], ["Said by", who.source]])),
      section("What", "what",
        h("ul", { class: "plainlist" }, (one.signatures ?? []).map((match) => h("li", {},
          said(match.signature), " ", h("span", { class: "quiet" }, `${match.confidence} % \u00b7 ${plural(match.alerts, "alert")}`)))),
        h("p", { class: one.delivered ? "bad strong" : "good" }, gotThrough(one.delivered, one.alerts)),
        facts("what", [
          ["To", (one.destinations ?? []).slice(0, 6).map((to) => `${endpoint(to.ip, to.port)}${to.name ? ` (${to.name})` : ""}`)],
          ["Wallet", (one.wallets ?? []).map((wallet) => `${wallet.shown} ${wallet.coin ?? ""}`.trim())],
          ["Done", Object.entries(one.actions ?? {}).map(([name, times]) => `${OUTCOME[name] ?? name} ${times}`).join(", ")],
          ["Seen before", (one.recurrence ?? []).map((again) => `${again.kind === "wallet" ? "same wallet" : again.value}: ${again.times} times in this experiment`)],
        ]),
        h("h4", {}, `Why ${one.severity}`),
        h("ul", { class: "plainlist" }, (one.why ?? []).map((why) => h("li", {}, said(why))))));
  }

  // What takes back what was done, as the command line does it.
  function honest() {
    const one = view.incident;
    const stopped = one.actions?.reject || one.actions?.drop;
    const rows = [
      ...(stopped ? (one.destinations ?? []).slice(0, UNDONE_SHOWN).map((to) => ["Let it connect", `davylamp blocks release ${endpoint(to.ip, to.port)}`]) : []),
      ...((one.timeline ?? []).some((line) => line.by && line.to) ? [["Undo what was done", `davylamp actions release ${one.id}`]] : []),
      ...(one.signatures ?? []).slice(0, UNDONE_SHOWN).map((match) => ["Never find it again", `davylamp pack disable ${match.signature_id}`]),
    ];
    return [
      h("p", { class: "quiet" }, "On the gateway\u2019s host, each with the gateway\u2019s --config FILE:"),
      rows.map(([name, command], at) => facts(`honest-${at}`, [[name, command]], true)),
    ];
  }

  function moments() {
    const lines = view.incident.timeline ?? [];
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What happened, line by line", "data-key": "moments" },
      h("table", {}, h("thead", {}, h("tr", {}, ["Time", "What", "To", "Done", "Tool call"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, lines.map((line) => h("tr", {},
          h("td", {}, h("time", { datetime: line.at }, moment(line.at))), h("td", {}, said(line.what)), h("td", {}, said(line.to ?? "")),
          h("td", { class: line.delivered ? "bad" : "" }, line.by ? ["by ", said(line.by)] : said(OUTCOME[line.action] ?? line.action ?? ""), line.delivered ? ", went through" : ""),
          h("td", {}, said(line.tool_call_id ?? "")))))));
  }

  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (resolving) { resolving = false; draw(); panel.querySelector("[data-key=resolve]")?.focus(); } else close();
  });
  draw();
  return {
    open, again,
    changed: (one) => { if (one.id === wanted) again(); },
    lineage: (event) => { if (view && event.lineage.lifecycle_id === view.incident.who?.lifecycle_id) again(); },
    close: () => { resize.disconnect(); clearTimeout(waiting); },
  };
}

function section(title, key, ...children) {
  return h("section", { class: `part part-${key}`, "aria-labelledby": `part-${key}` }, h("h3", { id: `part-${key}` }, title), children);
}

function facts(key, rows, copies = false) {
  const there = rows.flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, one]))
    .filter(([, value]) => value !== undefined && value !== null && value !== "");
  if (!there.length) return null;
  let before = "";
  return h("dl", { class: copies ? "facts facts-copy" : "facts" }, there.map(([name, value]) => {
    const term = h("dt", {}, name === before ? "" : name);
    before = name;
    return h("div", {}, term, h("dd", {}, copies ? copyable(String(value), `${name.toLowerCase()} ${key.split("-")[1] ?? ""}`.trim()) : said(value)));
  }));
}
