// The panel for the system prompt of this conversation and for how answers are sampled. A field left empty is not sent: the device's
// own setting applies. Presets keep both under a name.

import { h } from "./dom.js";
import { forgetKey, isRemembered } from "./key_store.js";
import { setPreference } from "./preferences.js";
import { presetRow } from "./presets.js";
import { sampling, setSampling } from "./sampling.js";
import { strings } from "./strings.js";
import { settingsStrings } from "./strings_settings.js";
import { toast } from "./toast.js";

Object.assign(strings, settingsStrings);

const numbers = {
  temperature: { min: 0, max: 2, step: 0.1 },
  top_p: { min: 0.01, max: 1, step: 0.05 },
  top_k: { min: 0, max: 1000, step: 1 },
  min_p: { min: 0, max: 1, step: 0.05 },
  repetition_penalty: { min: 0.1, max: 2, step: 0.05 },
  max_new_tokens: { min: 1, max: 131072, step: 1 },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
};

/** Request field -> what may be chosen, each with the key of its name; the first is the device's own setting. */
const choices = {
  thinking: [[null, "deviceDefault"], [true, "on"], [false, "off"]],
  punctuation: [[null, "deviceDefault"], ["repair", "on"], ["off", "off"]],
};

/** `conversation` has `system`; `changeSystem(text)` stores a new one. */
export function openSettings(conversation, changeSystem) {
  const system = h("textarea", { class: "input", id: "system", rows: 4, placeholder: "systemPlaceholder" });
  system.value = conversation.system;
  const close = h("button", { class: "icon-button", type: "button", icon: "close", label: "close" });
  const reset = h("button", { class: "button", type: "button", t: "resetSampling" });
  const body = h("div", { class: "sheet-body" });
  const dialog = h(
    "dialog",
    { class: "sheet", "aria-labelledby": "settings-title" },
    h("header", { class: "sheet-head" }, h("h2", { id: "settings-title", t: "settings" }), close),
    body,
  );
  const presets = presetRow(
    () => system.value,
    (preset) => {
      system.value = preset.system;
      setPreference("sampling", preset.sampling);
      draw();
    },
  );
  const forget = h("button", { class: "button", type: "button", icon: "unlock" }, h("span", { t: "forgetKey" }));
  forget.addEventListener("click", () => {
    forgetKey();
    forget.remove();
    toast("keyForgotten");
  });
  const draw = () =>
    body.replaceChildren(
      presets,
      field("system", "systemPrompt", "systemHint", system),
      h("h3", { t: "sampling" }),
      h("p", { class: "hint", t: "samplingHint" }),
      h("div", { class: "fields" }, Object.entries(numbers).map(numberField), stopField(), Object.entries(choices).map(choiceField)),
      reset,
      ...(isRemembered() ? [forget] : []),
    );
  draw();
  reset.addEventListener("click", () => {
    setPreference("sampling", {});
    draw();
  });
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // the backdrop
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (system.value !== conversation.system) changeSystem(system.value);
  });
  document.body.append(dialog);
  dialog.showModal();
}

function field(id, title, hint, input) {
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id, t: title }), input, hint && h("p", { class: "hint", id: `${id}-hint`, t: hint }));
}

function numberField([name, range]) {
  const input = h("input", { class: "input", id: name, type: "number", inputmode: "decimal", placeholder: "deviceDefault", ...range });
  input.value = sampling()[name] ?? "";
  input.addEventListener("change", () => {
    const { badInput, rangeUnderflow, rangeOverflow } = input.validity; // not stepMismatch: 0.75 is valid, whatever the arrows step by
    const fraction = range.step === 1 && input.valueAsNumber % 1 !== 0;
    const empty = input.value === "" && !badInput;
    const valid = !empty && !badInput && !rangeUnderflow && !rangeOverflow && !fraction;
    input.setAttribute("aria-invalid", String(!valid && !empty));
    if (valid || empty) setSampling(name, valid ? input.valueAsNumber : null);
  });
  return field(name, `field_${name}`, `hint_${name}`, input);
}

function stopField() {
  const input = h("input", { class: "input", id: "stop", placeholder: "none" });
  input.value = sampling().stop ?? "";
  input.addEventListener("change", () => setSampling("stop", input.value || null));
  return field("stop", "field_stop", "hint_stop", input);
}

function choiceField([name, options]) {
  const select = h("select", { class: "input", id: name }, options.map(([, t], index) => h("option", { value: String(index), t })));
  const chosen = options.findIndex(([value]) => value === (sampling()[name] ?? null));
  select.value = String(Math.max(chosen, 0));
  select.addEventListener("change", () => setSampling(name, options[Number(select.value)][0]));
  return field(name, `field_${name}`, `hint_${name}`, select);
}
