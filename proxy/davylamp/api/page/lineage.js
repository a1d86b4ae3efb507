// All that is on record about a container, lifecycle or address.

import { ask } from "./api.js";
import { h, put, redraw, said } from "./dom.js";
import { moment, span, traceOf } from "./format.js";
import { OUTCOME } from "./words.js";

export function lineageView({ main, argument, failed }) {
  const place = h("section", { class: "page", "aria-labelledby": "page-title" });
  let subject = argument, dossier = null, trouble = "", waiting = 0;
  put(main, place);

  async function load() {
    const asked = subject;
    try {
      const found = await ask(`/api/v1/lineage/${encodeURIComponent(asked)}?limit=200`);
      if (asked !== subject) return;
      [dossier, trouble] = [found, ""];
    } catch (error) {
      if (asked !== subject || failed(error)) return;
      trouble = error.message;
    }
    draw();
  }

  function draw() {
    redraw(place, h("a", { class: "back", href: "#/incidents", "data-key": "back" }, "\u2190 All incidents"),
      h("h1", { id: "page-title" }, said(dossier?.container || subject)),
      trouble && h("p", { class: "bad" }, said(trouble)),
      !dossier && !trouble && h("p", { class: "quiet" }, "Loading\u2026"),
      dossier && [
        h("p", { class: "quiet" }, said(dossier.lifecycle_id), dossier.left_out ? ` \u00b7 ${dossier.left_out} older lines are left out` : ""),
        part("Addresses", ["Address", "From", "Until", "Run", "Rollout", "How sure", "Said by"], dossier.bindings.toReversed().map((one) => [one.ip, at(one.valid_from), one.valid_to ? at(one.valid_to) : "now", one.run_id, one.rollout_id, one.grade ?? "declared", one.source])),
        part("Tool calls", ["Tool call", "Tool", "Step", "Began", "Took", "Trace id"], dossier.calls.toReversed().map((one) => [one.tool_call_id, one.tool, one.step, at(one.started), one.ended === undefined ? "running" : span(one.ended - one.started), traceOf(one.traceparent)[0]])),
        part("Alerts", ["Time", "What", "To", "Done", "Tool call"], dossier.alerts.toReversed().map((one) => [moment(one.timestamp), one.alert.signature, `${one.dest_ip} ${one.dest_port}`, OUTCOME[one.verdict.action], one.lineage?.tool_call_id]))]);
  }

  load();
  return {
    open(next) { subject = next; dossier = null; draw(); load(); },
    hello: load,
    lineage(event) {
      if (dossier && event.lineage.lifecycle_id !== dossier.lifecycle_id) return;
      clearTimeout(waiting);
      waiting = setTimeout(load, 250);
    },
    leave: () => clearTimeout(waiting),
  };
}

const at = (seconds) => moment(seconds * 1000);

function part(name, headings, rows) {
  return h("section", { class: "part" }, h("h2", {}, name), rows.length === 0 ? h("p", { class: "quiet" }, "None on record.")
    : h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name, "data-key": `table-${name}` }, h("table", {},
      h("thead", {}, h("tr", {}, headings.map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, said(cell ?? "")))))))));
}
