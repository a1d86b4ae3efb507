// Run -> rollout -> container -> flow, as boxes and lines; from top to bottom where it is narrow.

import { h, s, visible } from "./dom.js";
import { endpoint } from "./format.js";
import { OUTCOME, whoIs } from "./words.js";

const FLOWS = 6, BOX = 46, GAP = 34, ROW = 12;

export function graph({ incident, alerts }, width) {
  const who = incident.who ?? {};
  const chain = [
    who.run_id && { kind: "run", text: who.run_id },
    who.rollout_id && { kind: "rollout", text: who.rollout_id },
    { kind: who.container ? "container" : "address", text: whoIs(incident) },
  ].filter(Boolean);
  const all = flowsOf(alerts);
  const flows = all.slice(0, FLOWS);
  if (all.length > FLOWS) flows.push({ kind: "flows", text: `and ${all.length - FLOWS} more` });
  if (width < 80) return null;
  const placed = width < 620 ? down(chain, flows, width) : across(chain, flows, width);
  return s("svg", {
    class: "graph", viewBox: `0 0 ${width} ${placed.height}`, width, height: placed.height, role: "img",
    "aria-label": visible(`${chain.map((one) => `${one.kind} ${one.text}`).join(", then ")}, then ${all.length} ${all.length === 1 ? "flow" : "flows"}`),
  }, placed.edges.map((path) => s("path", { class: "edge", d: path })), placed.nodes.map(node));
}

function flowsOf(alerts) {
  const found = new Map();
  for (const one of alerts) {
    const name = one.tls?.sni;
    const text = name ? `${name}:${one.dest_port}` : endpoint(one.dest_ip, one.dest_port);
    found.set(one.flow_id, { kind: `flow, ${OUTCOME[one.verdict.action] ?? one.verdict.action}`, text, bad: true, through: Boolean(one.verdict.delivered) });
  }
  return [...found.values()];
}

function across(chain, flows, width) {
  const columns = chain.length + 1;
  const box = (width - GAP * (columns - 1) - 2) / columns;
  const height = Math.max(BOX, flows.length * (BOX + ROW) - ROW) + 2;
  const middle = height / 2 - BOX / 2;
  const nodes = chain.map((one, at) => ({ ...one, x: 1 + at * (box + GAP), y: middle, width: box }));
  const last = nodes.at(-1);
  const ends = flows.map((one, at) => ({ ...one, x: 1 + chain.length * (box + GAP), y: 1 + at * (BOX + ROW), width: box }));
  const edges = [];
  for (let at = 1; at < nodes.length; at += 1) edges.push(level(nodes[at - 1], nodes[at]));
  for (const end of ends) edges.push(level(last, end));
  return { nodes: [...nodes, ...ends], edges, height };
}

function level(from, to) {
  const [x1, y1, x2, y2] = [from.x + from.width, from.y + BOX / 2, to.x, to.y + BOX / 2];
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function down(chain, flows, width) {
  const space = 18, indent = 26;
  const nodes = chain.map((one, at) => ({ ...one, x: 1, y: 1 + at * (BOX + space), width: width - 2 }));
  const top = nodes.at(-1).y + BOX;
  const ends = flows.map((one, at) => ({ ...one, x: 1 + indent, y: top + space + at * (BOX + ROW), width: width - 2 - indent }));
  const edges = nodes.slice(1).map((one) => `M20 ${one.y - space} V${one.y}`);
  for (const end of ends) edges.push(`M14 ${top} V${end.y + BOX / 2} H${end.x}`);
  return { nodes: [...nodes, ...ends], edges, height: (ends.at(-1)?.y ?? nodes.at(-1).y) + BOX + 2 };
}

function node(one) {
  const room = Math.floor((one.width - 20) / 7.3);
  const text = one.text.length > room ? `${one.text.slice(0, Math.max(1, room - 1))}\u2026` : one.text;
  return s("g", { class: `node${one.bad ? (one.through ? " node-through" : " node-stopped") : ""}` },
    s("rect", { x: one.x, y: one.y, width: one.width, height: BOX, rx: 6 }),
    s("text", { class: "node-kind", x: one.x + 10, y: one.y + 17 }, one.kind),
    s("text", { class: "node-text", x: one.x + 10, y: one.y + 35 }, visible(text)),
    s("title", {}, visible(one.text)));
}
