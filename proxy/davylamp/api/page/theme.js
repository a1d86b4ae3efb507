// Dark or light: the system's, unless chosen here; the choice is this browser's alone.

const KEY = "davylamp-theme";
const ORDER = ["system", "light", "dark"];

function chosen() {
  try {
    return ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "system";
  } catch {
    return "system";
  }
}

export function apply(theme = chosen()) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  return theme;
}

export function next() {
  const theme = ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length];
  try {
    localStorage.setItem(KEY, theme);
  } catch { /* it lasts as long as the page, then */ }
  return apply(theme);
}

export const current = chosen;
