// Elements, made without ever turning text into markup. Whatever a sandbox may have had a hand in
// comes in as text nodes or attribute values, and through `visible`.

const SVG = "http://www.w3.org/2000/svg";

// Characters that show as nothing, or turn the writing round, and so could make a name look like
// another one.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

export function visible(text) {
  return String(text).replace(HIDDEN, (one) => `\u27e8${one.charCodeAt(0).toString(16).padStart(4, "0")}\u27e9`);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}

export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

// Something that came over the wire: isolated, so that its direction is its own affair.
export function said(text, properties = {}) {
  return h("bdi", properties, visible(text));
}

export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return parent;
}

// Replace what is in `parent`, and leave the focus on the element of the same key.
export function redraw(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  put(parent, ...children);
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

export function announce(text) {
  document.getElementById("said").textContent = text;
}

// A value that is taken elsewhere: a trace id, a tool call.
export function copyable(value, name) {
  const button = h("button", {
    type: "button", class: "copy", "data-key": `copy-${name}`, "aria-label": `Copy ${name}`,
    click: async () => {
      button.textContent = await copied(value, button) ? "Copied" : "Press Ctrl+C";
      announce(button.textContent === "Copied" ? `${name} copied` : `${name} selected`);
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    },
  }, "Copy");
  return h("span", { class: "copyable" }, h("code", {}, said(value)), button);
}

async function copied(value, button) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    // No clipboard outside a secure context: leave it selected.
    const range = document.createRange();
    range.selectNodeContents(button.previousSibling);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return false;
  }
}
