// The log-in: a token, given away once for a cookie that scripts do not see.

import { ask } from "./api.js";
import { h, put } from "./dom.js";

export function loginView(main, notice, begin) {
  const message = h("p", { id: "login-message", class: "login-message", role: "alert" }, notice);
  const field = h("input", {
    id: "token", name: "token", type: "password", autocomplete: "current-password", required: true,
    spellcheck: "false", "aria-describedby": "token-help login-message",
  });
  const button = h("button", { type: "submit", class: "main" }, "Log in");
  const form = h("form", {
    class: "login",
    submit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const session = await ask("/api/v1/session", { method: "POST", body: { token: field.value.trim() } });
        begin(session.scopes);
        main.focus(); // the form that had the focus is gone
      } catch (error) {
        message.textContent = `${error.message}.`;
        field.select();
        field.focus();
      } finally {
        button.disabled = false;
      }
    },
  },
    h("h1", {}, "Log in"),
    h("label", { for: "token" }, "Token"), field,
    h("p", { id: "token-help", class: "help" }, "On the gateway\u2019s host, in ",
      h("code", {}, "api/token"), " under its state folder (as root: ",
      h("code", {}, "/var/lib/davylamp/api/token"), ")."),
    button, message);
  put(main, form);
  field.focus();
}
