// Numbers, times and bytes as people read them.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const COUNT = new Intl.NumberFormat("en");

export const epoch = (time) => Date.parse(time) / 1000;
export const clock = (time) => CLOCK.format(new Date(time));
export const count = (number) => COUNT.format(number);

export function moment(time) {
  const date = new Date(time);
  const today = new Date().toDateString() === date.toDateString();
  return today ? CLOCK.format(date) : `${DAY.format(date)}, ${CLOCK.format(date)}`;
}

export function ago(time, now = Date.now()) {
  return `${span(Math.max(0, now / 1000 - epoch(time)))} ago`;
}

export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function brief(number) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return `${(number / size).toPrecision(3)} ${unit}`;
  }
  return number >= 10 || Number.isInteger(number) ? String(Math.round(number)) : number.toFixed(1);
}

export const bitrate = (bytes) => `${brief(bytes * 8)}bit/s`;
export const endpoint = (ip, port) => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

// Trace id and span id of a W3C trace context.
export function traceOf(traceparent) {
  const parts = (traceparent ?? "").split("-");
  if (parts.length < 4 || parts[1].length !== 32 || parts[2].length !== 16) return ["", ""];
  return [parts[1], parts[2]];
}

// Lines of "offset  hex  text" of bytes in hex.
export function dump(hex, width) {
  const lines = [];
  for (let at = 0; at < hex.length; at += width * 2) {
    const pairs = hex.slice(at, at + width * 2).match(/../g) ?? [];
    const text = pairs.map((pair) => {
      const code = parseInt(pair, 16);
      return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "\u00b7";
    }).join("");
    lines.push(`${(at / 2).toString(16).padStart(4, "0")}  ${pairs.join(" ").padEnd(width * 3 - 1)}  ${text}`);
  }
  return lines.join("\n");
}
