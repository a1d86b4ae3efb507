// The strip of numbers above the incidents.

import { h, put, s } from "./dom.js";
import { bitrate, brief, count } from "./format.js";

const WIDTH = 132, HEIGHT = 30;

export function overview(parent, { stats, trouble }) {
  if (!stats) {
    put(parent, h("p", { class: trouble ? "bad" : "quiet" }, trouble || "Loading\u2026"));
    return;
  }
  const by = new Map();
  for (const one of stats.verdicts) by.set(one.action, (by.get(one.action) ?? 0) + one.alerts);
  const last = stats.series.at(-1);
  put(parent,
    tile("Inspected", last ? bitrate(last.bytes) : "\u2013", last ? `${brief(last.packets)} packets/s` : "no report yet", spark(stats, "bytes", "bytes a second")),
    tile("New flows", last ? `${brief(last.flows)}/s` : "\u2013", `${count(stats.flows)} in all`, spark(stats, "flows", "new flows a second")),
    tile("Judged clean", count(stats.cleared), "left to the kernel"),
    tile("Rejected", count(by.get("reject") ?? 0), "alerts, dropped and reset"),
    tile("Dropped", count(by.get("drop") ?? 0), "alerts, dropped"),
    tile("Alerted", count((by.get("alert") ?? 0) + (by.get("pass") ?? 0)), "alerts, let through"));
}

function tile(name, value, more, picture) {
  return h("div", { class: "tile" },
    h("span", { class: "tile-name" }, name), h("span", { class: "tile-value" }, value),
    h("span", { class: "tile-more" }, more), picture);
}

function spark(stats, member, what) {
  const values = stats.series.map((one) => one[member]);
  if (values.length < 2) return null;
  const top = Math.max(...values, 1e-9);
  const step = WIDTH / (values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`);
  const minutes = Math.round((values.length * stats.series_seconds) / 60);
  return s("svg", {
    class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${what} over ${minutes || 1} min; at most ${brief(top)}`,
  },
    s("polygon", { class: "spark-area", points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }),
    s("polyline", { class: "spark-line", points: points.join(" ") }));
}
