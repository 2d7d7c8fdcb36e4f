// The browser's dialog for files.

import { h } from "./dom.js";

/** The files that the person chooses; none when they decline. `accept`: as in HTML, "" for all. */
export function chooseFiles({ accept = "", multiple = true } = {}) {
  return new Promise((resolve) => {
    const input = h("input", { type: "file", accept, multiple, class: "visually-hidden", "aria-hidden": "true", tabindex: -1 });
    const done = () => {
      input.remove();
      resolve([...input.files]);
    };
    input.addEventListener("change", done);
    input.addEventListener("cancel", done);
    document.body.append(input);
    input.click();
  });
}
