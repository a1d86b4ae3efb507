// The flows that were judged last.

import { ask } from "./api.js";
import { h, put, redraw, said } from "./dom.js";
import { endpoint, moment, plural } from "./format.js";
import { OUTCOME, sureness } from "./words.js";

const MOST = 200;

export function flowsView({ main, state, failed }) {
  const known = new Map();
  let kept = 0, trouble = "", loaded = false, drawing = 0;
  const body = h("tbody"), note = h("p", { class: "quiet" });
  put(main, h("section", { class: "page", "aria-labelledby": "page-title" },
    h("h1", { id: "page-title" }, "Flows"),
    h("p", { class: "quiet" }, "Flows on which something was found, or that were led to a proxy, newest first. Those judged clean are only counted."),
    note,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Flows" }, h("table", {},
      h("thead", {}, h("tr", {}, ["Time", "From", "To", "What", "Done", "Who", "Incident"].map((name) => h("th", { scope: "col" }, name)))), body))));

  function draw() {
    const rows = [...known.values()].sort((a, b) => (a.at < b.at ? 1 : -1)).slice(0, MOST);
    redraw(body, rows.map(row));
    note.textContent = trouble ? `${trouble}.` : !loaded ? "Loading\u2026" : rows.length ? `${plural(rows.length, "flow")} of ${kept} remembered` : "None yet, since the gateway started.";
  }

  async function load() {
    try {
      const page = await ask(`/api/v1/flows?limit=${MOST}`);
      known.clear();
      for (const one of page.flows) known.set(one.flow_id, one);
      [kept, trouble, loaded] = [page.kept, "", true];
    } catch (error) {
      if (failed(error)) return;
      trouble = error.message;
    }
    draw();
  }

  load();
  return {
    hello: () => { if (loaded) load(); },
    flow(one) {
      if (!known.has(one.flow_id)) kept += 1;
      known.set(one.flow_id, one);
      if (known.size > 2 * MOST) known.delete(known.keys().next().value);
      // A burst of flows is drawn once.
      drawing ||= setTimeout(() => { drawing = 0; draw(); }, 100);
    },
    leave: () => clearTimeout(drawing),
  };
}

function row(one) {
  const who = one.lineage ?? {};
  return h("tr", {},
    h("td", {}, h("time", { datetime: one.at }, moment(one.at))),
    h("td", {}, said(endpoint(one.src_ip, one.src_port))),
    h("td", {}, said(endpoint(one.dest_ip, one.dest_port)), one.name ? [" ", said(one.name, { class: "quiet" })] : ""),
    h("td", {}, said(one.what), one.app_proto ? [" ", said(one.app_proto, { class: "quiet" })] : ""),
    h("td", {}, h("span", { class: one.delivered ? "bad" : "" }, OUTCOME[one.action] ?? one.action, one.delivered ? ", went through" : "")),
    h("td", {}, who.lifecycle_id ? h("a", { href: `#/lineage/${encodeURIComponent(who.lifecycle_id)}`, "data-key": `who-${one.flow_id}` }, said(who.container || who.lifecycle_id)) : h("span", { class: "quiet" }, sureness(who)[0])),
    h("td", {}, one.incident_id ? h("a", { href: `#/incidents/${encodeURIComponent(one.incident_id)}`, "data-key": `case-${one.flow_id}` }, said(one.incident_id)) : ""));
}
