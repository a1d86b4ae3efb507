// The page: who is logged in, which view is open, and the stream that keeps it up to date.

import { ask, follow } from "./api.js";
import { announce, h, put, redraw } from "./dom.js";
import { span } from "./format.js";
import { flowsView } from "./flows.js";
import { gatewayView } from "./gateway.js";
import { incidentsView } from "./incidents.js";
import { lineageView } from "./lineage.js";
import { loginView } from "./login.js";
import * as theme from "./theme.js";

const POLL_MS = 5000;
const main = document.getElementById("main");
const state = { scopes: [], live: "connecting", health: null, stats: null };
let view = null, leave = () => {}, stopFollowing = () => {}, polling = 0;

const VIEWS = { incidents: incidentsView, flows: flowsView, gateway: gatewayView, lineage: lineageView };
const TABS = [["incidents", "Incidents"], ["flows", "Flows"], ["gateway", "Gateway"]];

function route() {
  const [name = "", rest = ""] = location.hash.replace(/^#\/?/, "").split(/\/(.*)/);
  let argument = rest;
  try {
    argument = decodeURIComponent(rest);
  } catch { /* a hash somebody typed */ }
  return { name: name in VIEWS ? name : "incidents", argument };
}

function show() {
  const { name, argument } = route();
  if (view?.name === name && view.open) {
    view.open(argument);
  } else {
    leave();
    view = VIEWS[name]({ main, argument, state, failed });
    leave = view.leave ?? (() => {});
    view.name = name;
  }
  drawBar();
}

const STATES = {
  live: ["Live", "shown as it happens"],
  connecting: ["Connecting", "waiting for the gateway"],
  lost: ["Reconnecting", "what you see may be out of date"],
};

function drawBar() {
  const [word, meaning] = STATES[state.live];
  const health = state.health;
  const trouble = health ? health.problems ?? [] : [];
  redraw(document.getElementById("bar"),
    h("a", { class: "mark", href: "#/incidents", "aria-label": "davylamp, incidents", "data-key": "mark" },
      h("img", { src: "/page/icon.svg", alt: "", width: 22, height: 22 }), h("span", {}, "davylamp")),
    state.scopes.length > 0 && h("nav", { "aria-label": "Views" }, TABS.map(([name, title]) =>
      h("a", { href: `#/${name}`, "aria-current": view?.name === name ? "page" : null, "data-key": `tab-${name}` }, title))),
    h("div", { class: "bar-end" },
      health && h("a", { class: `mode mode-${health.rules.mode}`, href: "#/gateway", title: "What is done about what is found", "data-key": "mode" }, health.rules.mode),
      health && trouble.length > 0 && h("a", { class: "trouble", href: "#/gateway", "data-key": "trouble" }, `${trouble.length} to look at`),
      state.scopes.length > 0 && h("span", { class: `live live-${state.live}`, title: meaning }, word),
      themeButton(),
      state.scopes.length > 0 && h("button", { type: "button", class: "plain", "data-key": "out", click: logOut }, "Log out")));
}

function themeButton() {
  const button = h("button", {
    type: "button", class: "plain", "data-key": "theme", "aria-label": `${title(theme.current())} colours, change`,
    click: () => {
      const now = theme.next();
      button.textContent = title(now);
      button.setAttribute("aria-label", `${title(now)} colours, change`);
      announce(`${title(now)} colours`);
    },
  }, title(theme.current()));
  return button;
}

const title = (name) => ({ system: "\u25d0 Auto", light: "\u25cb Light", dark: "\u25cf Dark" })[name];

async function poll() {
  clearTimeout(polling);
  if (!document.hidden) {
    try {
      [state.health, state.stats] = await Promise.all([ask("/api/v1/health"), ask("/api/v1/stats")]);
      state.trouble = "";
    } catch (error) {
      if (failed(error)) return;
      state.trouble = error.message;
    }
    drawBar();
    view?.tick?.();
  }
  polling = setTimeout(poll, POLL_MS);
}

function live(word) {
  if (state.live === word) return;
  state.live = word;
  drawBar();
  if (word === "lost") announce("The connection to the gateway was lost; trying again");
}

// Tell whether an error means that the log-in is over, and go there.
function failed(error) {
  if (error.status !== 401 || state.scopes.length === 0) return false;
  begin([], "Your log-in is over; log in again.");
  return true;
}

function begin(scopes, notice = "") {
  stopFollowing();
  clearTimeout(polling);
  leave();
  leave = () => {};
  view = null;
  Object.assign(state, { scopes, live: "connecting", health: null, stats: null });
  document.title = "davylamp";
  if (scopes.length === 0) {
    loginView(main, notice, begin);
    drawBar();
    return;
  }
  show();
  stopFollowing = follow({
    hello: () => { live("live"); view?.hello?.(); },
    lost: async () => {
      live("lost");
      // A stream that is refused tells no status: ask whether the log-in still stands.
      const session = await ask("/api/v1/session").catch(() => null);
      if (session && session.scopes.length === 0) failed({ status: 401 });
    },
    incident: (one) => view?.incident?.(one),
    flow: (one) => view?.flow?.(one),
    lineage: (one) => view?.lineage?.(one),
  });
  poll();
}

async function logOut() {
  await ask("/api/v1/session", { method: "DELETE" }).catch(() => {});
  begin([], "You are logged out.");
}

async function start() {
  theme.apply();
  put(main, h("p", { class: "notice" }, "Loading\u2026"));
  drawBar();
  try {
    begin((await ask("/api/v1/session")).scopes);
  } catch (error) {
    put(main, h("p", { class: "notice bad" }, `${error.message}. Trying again in ${span(3)}.`));
    setTimeout(start, 3000);
  }
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the view's
  main.focus();
});
addEventListener("hashchange", () => state.scopes.length > 0 && show());
document.addEventListener("visibilitychange", () => !document.hidden && state.scopes.length > 0 && poll());
start();
