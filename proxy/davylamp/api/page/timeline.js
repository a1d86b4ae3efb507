// Tool calls as bars over time, and the flows that were judged as marks below them.

import { h, s, visible } from "./dom.js";
import { clock, epoch, plural, span } from "./format.js";
import { OUTCOME } from "./words.js";

const ROW = 26, TOP = 26, LEFT = 8, RIGHT = 14, CALLS = 12, MARK = 6;

export function timeline({ incident, alerts }, dossier, width) {
  const flows = flowsOf(incident, alerts);
  if (!flows.length || width < 80) return h("p", { class: "quiet" }, "No alert of this incident was kept.");
  const deeds = deedsOf(incident);
  const first = Math.min(...flows.map((one) => one.at)), last = Math.max(...flows.map((one) => one.at));
  const reach = Math.max(10 * (last - first), 60);
  const all = callsOf(incident, dossier).filter((call) => (call.ended ?? Infinity) >= first - reach && call.started <= last + reach);
  const near = (call) => Math.max(0, call.started - first, first - (call.ended ?? last));
  const calls = all.sort((a, b) => near(a) - near(b)).slice(0, CALLS).sort((a, b) => a.started - b.started);
  const begins = Math.max(first - reach, Math.min(first, ...calls.map((call) => call.started)));
  const ends = Math.min(last + reach, Math.max(last, ...calls.map((call) => call.ended ?? last), ...deeds.map((one) => one.at)));
  const pad = Math.max((ends - begins) * 0.06, 0.5);
  const scale = scaleOf(begins - pad, ends + pad, width);
  const base = TOP + calls.length * ROW + 14, height = base + 26;
  return h("figure", {},
    s("svg", { class: "timeline", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": summary(calls, flows) },
      ticks(scale, width, base),
      flows.map((flow) => mark(flow, scale(flow.at), base, calls.length)),
      deeds.filter((one) => one.at >= begins && one.at <= ends).map((one) => deed(one, scale(one.at), base)),
      calls.map((call, at) => bar(call, TOP + at * ROW, scale, last, width))),
    h("figcaption", {}, legend(calls, flows, deeds, all.length - calls.length)));
}

function flowsOf(incident, alerts) {
  const found = new Map();
  for (const alert of alerts) {
    const known = found.get(alert.flow_id);
    const at = epoch(alert.flow_start);
    if (!known) found.set(alert.flow_id, { at, action: alert.verdict.action, to: `${alert.dest_ip} ${alert.dest_port}`, delivered: Boolean(alert.verdict.delivered) });
    else known.delivered ||= Boolean(alert.verdict.delivered);
  }
  return [...found.values()].slice(0, 60);
}

// What was done about it, by policy or by a person.
function deedsOf(incident) {
  return (incident.timeline ?? []).filter((line) => line.by).slice(-20).map((line) => ({ at: epoch(line.at), text: `${line.what}, by ${line.by}` }));
}

function deed(one, x, base) {
  return s("g", { class: "deed" }, s("path", { d: `M${x} ${base} l${MARK} ${2 * MARK} h${-2 * MARK} z` }),
    s("title", {}, visible(`${clock(one.at * 1000)}: ${one.text}`)));
}

function callsOf(incident, dossier) {
  const sure = new Set((incident.calls ?? []).filter((one) => one.sure).map((one) => one.tool_call_id));
  const maybe = new Set((incident.calls ?? []).filter((one) => !one.sure).map((one) => one.tool_call_id));
  return (dossier?.calls ?? []).map((call) => ({
    ...call, ended: call.ended ?? undefined,
    kind: sure.has(call.tool_call_id) ? "sure" : maybe.has(call.tool_call_id) ? "maybe" : "other",
  }));
}

function scaleOf(from, to, width) {
  const room = width - LEFT - RIGHT;
  const scale = (at) => LEFT + ((at - from) / (to - from)) * room;
  scale.back = (x) => from + ((x - LEFT) / room) * (to - from);
  return scale;
}

function bar(call, y, scale, last, width) {
  const from = Math.max(LEFT, scale(call.started)), to = Math.max(from + 3, scale(call.ended ?? last + 1e9));
  const open = call.ended === undefined;
  const end = open ? scale(last) + 30 : to;
  const label = `${call.tool || "tool call"} \u00b7 ${call.tool_call_id}`;
  return s("g", { class: `call call-${call.kind}` },
    s("rect", { x: from, y: y + 14, width: Math.max(3, end - from), height: 7, rx: 3 }),
    from < width * 0.6
      ? s("text", { x: from, y: y + 10 }, visible(cut(label, Math.floor((width - from) / 6.5))))
      : s("text", { x: Math.min(end, width - RIGHT), y: y + 10, "text-anchor": "end" }, visible(cut(label, Math.floor(width / 6.5)))),
    s("title", {}, visible(`${label}, ${open ? "running" : `for ${span(call.ended - call.started)}`}`)));
}

function mark(flow, x, y, rows) {
  return s("g", { class: flow.delivered ? "mark mark-through" : "mark mark-stopped" },
    s("line", { x1: x, x2: x, y1: rows ? TOP - 4 : TOP, y2: y }),
    flow.delivered
      ? s("circle", { cx: x, cy: y + MARK, r: MARK - 1 })
      : s("path", { d: `M${x - MARK} ${y} l${2 * MARK} ${2 * MARK} m0 ${-2 * MARK} l${-2 * MARK} ${2 * MARK}` }),
    s("title", {}, visible(`${clock(flow.at * 1000)}: flow to ${flow.to}, ${OUTCOME[flow.action] ?? flow.action}`)));
}

function ticks(scale, width, base) {
  const room = Math.max(2, Math.floor(width / 150));
  const [left, right] = [LEFT, width - RIGHT];
  return Array.from({ length: room + 1 }, (_, at) => {
    const x = left + ((right - left) * at) / room;
    const anchor = at === 0 ? "start" : at === room ? "end" : "middle";
    return s("g", { class: "tick" }, s("line", { x1: x, x2: x, y1: 18, y2: base }),
      s("text", { x, y: 12, "text-anchor": anchor }, clock(scale.back(x) * 1000)));
  });
}

function legend(calls, flows, deeds, more) {
  const stopped = flows.filter((one) => !one.delivered).length, through = flows.length - stopped;
  return [
    stopped > 0 && h("span", { class: "key key-stopped" }, `\u2715 ${plural(stopped, "flow")} stopped`),
    through > 0 && h("span", { class: "key key-through" }, `\u25cf ${plural(through, "flow")} went through`),
    deeds.length > 0 && h("span", { class: "key key-deed" }, `\u25b2 ${plural(deeds.length, "action")}`),
    calls.some((one) => one.kind === "sure") && h("span", { class: "key key-sure" }, "the tool call it was"),
    calls.some((one) => one.kind === "maybe") && h("span", { class: "key key-maybe" }, "may have been it"),
    calls.some((one) => one.kind === "other") && h("span", { class: "key key-other" }, "other tool calls"),
    more > 0 && h("span", { class: "quiet" }, `and ${more} further off`),
    calls.length === 0 && h("span", { class: "quiet" }, "no tool call is on record around that time"),
  ].filter(Boolean);
}

function summary(calls, flows) {
  const named = calls.filter((one) => one.kind === "sure").map((one) => one.tool_call_id).slice(0, 4).join(", ");
  return visible(`${plural(flows.length, "flow")} and ${plural(calls.length, "tool call")} over time${named ? `; during ${named}` : ""}`);
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);
