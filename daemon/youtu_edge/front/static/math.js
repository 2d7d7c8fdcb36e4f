// Formulas by Temml, as MathML: <span class="math" data-display="true">source with its delimiters</span>.

import { loadStyle } from "./style_sheet.js";

const MAX_SOURCE = 5000;
const DELIMITERS = /^(\$\$?|\\\(|\\\[)([\s\S]*?)(\$\$?|\\\)|\\\])$/;

await Promise.all([loadStyle("ui/lib/temml.css"), loadScript("ui/lib/temml.js")]);

/** Puts the formula in place of its source, which stays where it is no formula (yet). */
export function render(element) {
  const [, , source] = DELIMITERS.exec(element.textContent.trim()) ?? [];
  if (source === undefined || source.length > MAX_SOURCE || element.firstElementChild) return;
  const formula = document.createElement("span");
  try {
    globalThis.temml.render(source, formula, { displayMode: element.dataset.display === "true", throwOnError: true, trust: false, maxExpand: 200 });
  } catch {
    return;
  }
  element.title = source.trim();
  element.replaceChildren(...formula.childNodes);
}

/** Temml is a classic script. */
function loadScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.onload = resolve;
    script.onerror = () => reject(new TypeError(`${path} cannot be loaded`));
    document.head.append(script);
  });
}
