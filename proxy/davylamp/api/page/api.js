// The gateway's API: questions, and the stream of what happens.

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(path, { method = "GET", body } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method, credentials: "same-origin", cache: "no-store", redirect: "error",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, "the gateway does not answer");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, told.detail || told.title || `HTTP ${answer.status}`);
  return told;
}

const NAMES = ["incident", "flow", "lineage"];
const FIRST_MS = 500, LAST_MS = 10_000;

// Follow the stream. `on.hello` is called whenever it begins (what was before is to be loaded
// then), `on.lost` when it breaks, and `on.NAME` with each event.
export function follow(on) {
  let pause = FIRST_MS, source, timer, over = false;
  const open = () => {
    source = new EventSource("/api/v1/events");
    source.addEventListener("hello", () => { pause = FIRST_MS; on.hello(); });
    for (const name of NAMES) source.addEventListener(name, (event) => on[name]?.(JSON.parse(event.data)));
    source.onerror = () => {
      source.close();
      if (over) return;
      on.lost();
      timer = setTimeout(open, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, LAST_MS);
    };
  };
  open();
  return () => { over = true; clearTimeout(timer); source.close(); };
}
