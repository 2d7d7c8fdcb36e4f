// The address of this page as a QR code, for the camera of a phone; the key that this tab uses only if the person asks for it.

import { h } from "./dom.js";
import { key } from "./key_store.js";
import { strings } from "./strings.js";
import { qrStrings } from "./strings_qr.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4; // modules of white around the code, as ISO/IEC 18004 demands

Object.assign(strings, qrStrings);

/** Whether others reach this page by its address, too; "localhost" is another device on each. */
export const isReachable = () => !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);

export async function showQr() {
  const library = await import("./lib/lean-qr.js").catch(() => null); // a build without npm does not have it
  const address = new URL(".", location.href).href;
  const place = h("div", { class: "qr-place" });
  const box = key() && library && h("input", { type: "checkbox", id: "qr-key" });
  const draw = () => {
    const text = box?.checked ? `${address}#key=${key()}` : address;
    if (library) place.replaceChildren(drawing(library.generate(text, { minCorrectionLevel: library.correction.M })));
  };
  const close = h("button", { class: "button primary", type: "submit", t: "close" });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "qr-title", t: "openElsewhere" }),
    h("p", { t: library ? "qrText" : "addressText" }),
    place,
    h("p", { class: "qr-address" }, address),
    box && h("label", { class: "check", for: "qr-key" }, box, h("span", { t: "qrKey" })),
    h("div", { class: "dialog-actions" }, close),
  );
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": "qr-title" }, form);
  box?.addEventListener("change", draw);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // the backdrop
  draw();
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}

/** The code as one path: a stroke of height 1 for each run of dark modules in a row. */
function drawing(code) {
  const runs = [];
  for (let y = 0; y < code.size; y++)
    for (let x = 0; x < code.size; x++) {
      const start = x;
      while (code.get(x, y)) x++;
      if (x > start) runs.push(`M${start} ${y}h${x - start}v1h${start - x}z`);
    }
  const svg = document.createElementNS(SVG, "svg");
  const width = code.size + 2 * QUIET;
  svg.setAttribute("viewBox", `${-QUIET} ${-QUIET} ${width} ${width}`);
  svg.setAttribute("class", "qr");
  svg.setAttribute("shape-rendering", "crispEdges");
  svg.setAttribute("aria-hidden", "true"); // the address stands beneath
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", runs.join(""));
  svg.append(path);
  return svg;
}
