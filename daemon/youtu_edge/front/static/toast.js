// A short message at the lower edge, read out by screen readers, gone by itself.

import { h } from "./dom.js";

const SHOWN_MS = 4000;

let place = null;

export function toast(key, parameters = {}, kind = "hint") {
  if (!place) {
    place = h("div", { class: "toasts", role: "status" });
    document.body.append(place);
  }
  const message = h("p", { class: `toast ${kind}`, t: [key, parameters] });
  place.replaceChildren(message);
  setTimeout(() => message.remove(), SHOWN_MS);
}
