// Modal dialogs: confirm, enter a text, enter the API key.

import { h } from "./dom.js";

/**
 * Resolves to the text entered (or true without a field), or null when the person declines; with `check`, the key of a checkbox's
 * label, to {key: the text, remember: whether it is checked}.
 */
function ask({ title, text, parameters, action, danger, field, check }) {
  return new Promise((resolve) => {
    const input = field && h("input", { class: "input", id: "dialog-field", autocomplete: "off", spellcheck: "false", ...field.attributes });
    if (input) input.value = field.value || "";
    const box = check && h("input", { type: "checkbox", id: "dialog-check" });
    const heading = h("h2", { id: "dialog-title", t: title });
    const cancel = h("button", { class: "button", type: "button", t: "cancel" });
    const confirm = h("button", { class: `button ${danger ? "danger" : "primary"}`, type: "submit", t: action });
    const form = h(
      "form",
      { method: "dialog" },
      heading,
      text && h("p", { t: [text, parameters] }),
      input && h("label", { for: "dialog-field", class: "visually-hidden", t: title }),
      input,
      box && h("label", { class: "check", for: "dialog-check" }, box, h("span", { t: check })),
      h("div", { class: "dialog-actions" }, cancel, confirm),
    );
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, form);
    let answer = null;
    form.addEventListener("submit", () => (answer = input ? input.value.trim() : true));
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer && box ? { key: answer, remember: box.checked } : answer || null);
    });
    document.body.append(dialog);
    dialog.showModal();
    (input || (danger ? cancel : confirm)).focus(); // a single Enter must not confirm what cannot be undone
    input?.select();
  });
}

export const confirmDelete = (title) =>
  ask({ title: "deleteTitle", text: "deleteText", parameters: { title }, action: "delete", danger: true });

export const confirmClear = (title) =>
  ask({ title: "clearTitle", text: "clearText", parameters: { title }, action: "clear", danger: true });

export const confirmDeleteTurn = () => ask({ title: "deleteTurnTitle", text: "deleteTurnText", action: "delete", danger: true });

export const askPresetName = (value) => ask({ title: "presetName", action: "save", field: { value, attributes: { maxlength: 60 } } });

export const askTitle = (value) => ask({ title: "rename", action: "save", field: { value, attributes: { maxlength: 200 } } });

export const askKey = (wasWrong) =>
  ask({
    title: "keyTitle",
    text: wasWrong ? "keyWrong" : "keyText",
    action: "continue",
    field: { attributes: { type: "password" } },
    check: "rememberKey",
  });
