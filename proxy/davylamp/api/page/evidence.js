// What was said on the wire: excerpts with secrets masked, and the bytes themselves on demand.

import { h, said } from "./dom.js";
import { dump, endpoint, moment } from "./format.js";

const SHOWN = 6;

export function evidence({ incident, alerts }, raw, scopes, width, reveal) {
  const seen = new Set();
  const pieces = alerts.flatMap((alert) => (alert.evidence ?? []).slice(0, 1).map((piece) => ({ alert, piece })))
    .filter(({ piece }) => !seen.has(piece.signature_id) && seen.add(piece.signature_id)).slice(0, SHOWN);
  return [
    pieces.length === 0 && h("p", { class: "quiet" }, "No evidence was kept with the alerts."),
    pieces.map(({ alert, piece }) => h("figure", { class: "piece" },
      h("figcaption", {}, said(piece.signature_id), h("span", { class: "quiet" },
        ` \u00b7 ${alert.alert.confidence} % \u00b7 from the ${piece.direction}, byte ${piece.offset}, ${piece.length} bytes \u00b7 secrets masked`)),
      h("pre", { tabindex: "0", "aria-label": `Excerpt of ${piece.signature_id}`, "data-key": `piece-${piece.signature_id}` }, said(piece.excerpt)))),
    bytes(incident, raw, scopes, width, reveal),
  ];
}

function bytes(incident, raw, scopes, width, reveal) {
  if (!(incident.evidence ?? []).length) return h("p", { class: "quiet" }, "No packets were kept: the proxies judged it, or the bounds were reached.");
  if (!scopes.includes("act")) return h("p", { class: "quiet" }, "The raw bytes hold secrets; a token with the right to act shows them.");
  if (raw.state === "none") {
    return h("p", {}, h("button", { type: "button", "data-key": "raw", click: reveal }, "Show raw bytes"), " ",
      h("span", { class: "quiet" }, "as they were sent: wallets, passwords and tokens among them"));
  }
  if (raw.state === "loading") return h("p", { class: "quiet" }, "Loading packets\u2026");
  if (raw.state === "failed") return h("p", { class: "bad" }, `${raw.message}. `, h("button", { type: "button", "data-key": "raw", click: reveal }, "Try again"));
  const columns = width < 640 ? 8 : 16;
  return [
    raw.page.packets.length === 0 && h("p", { class: "quiet" }, "No packet of it can be read on this host."),
    raw.page.packets.map((one, at) => h("figure", { class: "piece" },
      h("figcaption", {}, `${endpoint(one.src_ip, one.src_port)} \u2192 ${endpoint(one.dest_ip, one.dest_port)}`,
        h("span", { class: "quiet" }, ` \u00b7 ${one.proto} \u00b7 ${one.length} bytes \u00b7 ${moment(one.at)}${one.payload.length < one.length * 2 ? " \u00b7 the first of them" : ""}`)),
      h("pre", { class: "hex", tabindex: "0", "aria-label": `Bytes of packet ${at + 1}`, "data-key": `packet-${at}` }, dump(one.payload, columns)))),
    (raw.page.missing ?? []).map((one) => h("p", { class: "quiet" }, said(one))),
  ];
}
