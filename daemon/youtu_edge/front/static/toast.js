// A short message at the lower edge, read out by screen readers, which disappears by itself.

import { byId, h } from "./dom.js";

const SHOWN_MS = 4000;

/** toast(...explain(error), "error") has no parameters where the text has none. */
export function toast(key, parameters = {}, kind = "hint") {
  if (typeof parameters === "string") [parameters, kind] = [{}, parameters];
  const message = h("p", { class: `toast ${kind}`, t: [key, parameters] });
  byId("toasts").replaceChildren(message);
  setTimeout(() => message.remove(), SHOWN_MS);
}
