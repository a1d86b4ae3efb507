// What the gateway's short words mean, in a sentence.

export const SURENESS = {
  bound: ["Sure", "the trainer bound the address before the container started"],
  token: ["Sure", "the sandbox proved who it is"],
  observed: ["Sure", "the container runtime said so"],
  declared: ["Likely", "only labels or a person say so"],
  stale: ["Not sure", "the best guess, which may be out of date"],
  unknown: ["Not known", "nobody is on record for the address"],
};

export const OUTCOME = {
  reject: "rejected", drop: "dropped", alert: "alerted", pass: "passed",
  divert: "led to a proxy", refused: "our certificate refused",
};

export function sureness(who) {
  return SURENESS[who?.grade] ?? SURENESS.unknown;
}

export function whoIs(incident) {
  const who = incident.who ?? {};
  return who.container || who.lifecycle_id || (incident.sources ?? []).join(", ") || "unknown";
}

export function gotThrough(delivered = 0, alerts = 0) {
  if (!delivered) return "Nothing reached the pool: each packet that completed the evidence was dropped.";
  return `${delivered} of ${alerts} messages that were alerted on went through.`;
}
