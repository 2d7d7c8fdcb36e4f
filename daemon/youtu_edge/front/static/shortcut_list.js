// The overlay that lists the keyboard shortcuts.

import { h } from "./dom.js";
import { strings } from "./strings.js";
import { shortcutStrings } from "./strings_shortcuts.js";

const apple = /Mac|iP(?:hone|ad)/.test(navigator.platform);
const CONTROL = apple ? "⌘" : "Ctrl";
const ALT = apple ? "⌥" : "Alt";

/** [keys as they are shown, key of the text] */
const rows = [
  [["Enter"], "shortcut_send"],
  [["Shift", "Enter"], "shortcut_line"],
  [["Esc"], "shortcut_stop"],
  [["↑"], "shortcut_edit"],
  [["/"], "shortcut_question"],
  [[CONTROL, "K"], "shortcut_search"],
  [[ALT, "N"], "shortcut_new"],
  [[ALT, "R"], "shortcut_regenerate"],
  [[ALT, "C"], "shortcut_copy"],
  [[ALT, "S"], "shortcut_status"],
  [[ALT, ","], "shortcut_settings"],
  [["?"], "shortcut_help"],
];

Object.assign(strings, shortcutStrings);

export function showShortcuts() {
  const close = h("button", { class: "button primary", type: "submit", t: "close" });
  const row = ([keys, text]) => h("div", {}, h("dt", {}, keys.map((key) => h("kbd", {}, key))), h("dd", { t: text }));
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "shortcuts-title", t: "shortcuts" }),
    h("dl", { class: "shortcuts" }, rows.map(row)),
    h("div", { class: "dialog-actions" }, close),
  );
  const dialog = h("dialog", { class: "dialog wide", "aria-labelledby": "shortcuts-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // the backdrop
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
