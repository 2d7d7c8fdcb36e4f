// A button that copies a text and confirms it.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { label } from "./i18n.js";

const SHOWN_MS = 1600;

export function copyButton(text) {
  const button = h("button", { class: "icon-button small copy", type: "button", label: "copy", icon: "copy" });
  const show = (name, key) => {
    button.replaceChildren(icon(name));
    label(button, key);
  };
  let timer = 0;
  button.addEventListener("click", async () => {
    const copied = await copyText(text());
    show(copied ? "check" : "alert", copied ? "copied" : "copyFailed");
    clearTimeout(timer);
    timer = setTimeout(() => show("copy", "copy"), SHOWN_MS);
  });
  return button;
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // navigator.clipboard exists only on https and localhost, and a board has neither
  }
}

function copyBySelection(text) {
  const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return copied;
}
