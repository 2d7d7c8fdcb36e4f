// What a new conversation shows: a greeting, and questions to begin with.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** `choose(text)` is called with the question that the person chooses. */
export function welcome(choose) {
  const suggest = (key) => h("button", { class: "suggestion", type: "button", t: key, on: { click: () => choose(t(key)) } });
  return h(
    "div",
    { class: "welcome" },
    h("h2", { t: "welcome" }),
    h("p", { t: "welcomeText" }),
    h("div", { class: "suggestions" }, ["suggestion1", "suggestion2", "suggestion3"].map(suggest)),
  );
}
