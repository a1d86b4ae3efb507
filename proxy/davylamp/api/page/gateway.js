// How the gateway is: its processes, the store, where lineage comes from, the rules, the pack.

import { ask } from "./api.js";
import { h, put, redraw, said } from "./dom.js";
import { ago, bitrate, count, span } from "./format.js";

export function gatewayView({ main, state, failed }) {
  const place = h("div", { class: "parts" }), packs = h("div", { class: "parts" });
  put(main, h("section", { class: "page", "aria-labelledby": "page-title" }, place, packs));

  function draw() {
    const health = state.health;
    redraw(place, h("h1", { id: "page-title" }, "Gateway"),
      !health && h("p", { class: state.trouble ? "bad" : "quiet" }, state.trouble ? `${state.trouble}.` : "Loading\u2026"),
      health && [
        h("p", { class: "lead" }, health.ok ? "All is well." : "Something needs a look.", " ", h("span", { class: "quiet" }, `davylamp ${health.version}, up for ${span(health.uptime_seconds)}`)),
        (health.problems ?? []).length > 0 && h("ul", { class: "problems" }, health.problems.map((one) => h("li", {}, said(one)))),
        h("div", { class: "columns" }, rules(health), redis(health), lineage(health)),
        workers(health), sources(health)]);
  }

  const part = (title, ...children) => h("section", { class: "part" }, h("h2", {}, title), children);
  const row = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, said(value)));

  function rules({ rules: one, pack: used }) {
    return part("Rules", h("dl", { class: "facts" }, row("Mode", one.mode), row("On failure", one.exception_policy),
      row("In force", one.age_seconds === undefined ? "not yet" : `for ${span(one.age_seconds)}`), row("Table", one.table),
      row("Pack", `${used.name} ${used.version}, ${used.signatures} signatures`)));
  }

  function redis({ redis: one }) {
    return part("Store", h("dl", { class: "facts" }, row("Answers", one.answers ? `in ${span(one.milliseconds / 1000)}` : "no"), row("At", one.url)),
      one.error && h("p", { class: "bad" }, said(one.error)));
  }

  function lineage({ lineage: one }) {
    return part("Lineage", h("dl", { class: "facts" }, row("Up to date", one.connected ? "yes" : "no: attributions are stale"),
      row("Confirmed", one.confirmed_seconds === undefined ? "never" : `${span(one.confirmed_seconds)} ago`), row("Addresses", count(one.addresses))));
  }

  function workers({ workers: all }) {
    const stats = new Map((state.stats?.workers ?? []).map((one) => [one.worker, one]));
    return part("Processes", table("Processes", ["Name", "State", "Restarts", "Packets", "Flows", "Clean", "Mean"], all.map((one) => {
      const said_ = stats.get(one.name);
      return [one.name, one.alive ? (one.ready ? "at work" : "starting") : "not running", one.restarts,
        ...(said_ ? [count(said_.packets), count(said_.flows), count(said_.counters.cleared ?? 0), said_.seconds ? bitrate(said_.bytes / said_.seconds) : ""] : ["", "", "", ""])];
    })));
  }

  function sources({ sources: all }) {
    return part("Where lineage comes from", all.length
      ? table("Sources", ["Source", "State", "Changes since the start", "Last"], all.map((one) => [one.name || "(unnamed)", follows(one), count(one.changes), one.last ? ago(one.last) : ""]))
      : h("p", { class: "quiet" }, "No container was bound or released since the gateway started."));
  }

  function follows(one) {
    if (one.following === undefined || one.following === null) return "speaks for itself";
    return one.following ? "followed" : `not followed: ${one.error || "not yet"}`;
  }

  // Drawn once: it does not change while the gateway runs, and is long.
  function signatures(one) {
    return h("section", { class: "part" }, h("h2", {}, `Pack ${one.name} ${one.version}`), h("details", {},
      h("summary", {}, `${count(one.signatures.length)} signatures, ${count(Object.values(one.lists).reduce((sum, names) => sum + names, 0))} names`),
      table("Signatures", ["Signature", "Title", "Category", "Maturity", "Confidence"], one.signatures.map((each) => [each.id, each.title, each.category, each.maturity, `${each.confidence} %`]))));
  }

  draw();
  ask("/api/v1/packs").then((found) => put(packs, found.packs.map(signatures))).catch(failed);
  return { tick: draw, hello: () => {} };
}

function table(name, headings, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name, "data-key": `table-${name}` }, h("table", {},
    h("thead", {}, h("tr", {}, headings.map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, said(cell))))))));
}
