// Presets in the settings panel: a system prompt and sampling under a name, kept in this browser.

import { askPresetName } from "./dialogs.js";
import { h } from "./dom.js";
import { preference, setPreference } from "./preferences.js";
import { sampling } from "./sampling.js";

/** `system()` is the system prompt in the panel, `apply(preset)` puts a preset {name, system, sampling} into it. */
export function presetRow(system, apply) {
  const select = h("select", { class: "input", id: "preset" });
  const remove = h("button", { class: "icon-button", type: "button", icon: "trash", label: "deletePreset" });
  const save = h("button", { class: "button", type: "button", t: "savePreset" });
  const chosen = () => preference("presets")[Number(select.value)];
  const draw = (name) => {
    const presets = preference("presets");
    const at = presets.findIndex((preset) => preset.name === name);
    select.replaceChildren(h("option", { value: "-1", t: presets.length ? "choosePreset" : "noPresets" }), ...presets.map(option));
    select.value = String(at);
    select.disabled = !presets.length;
    remove.disabled = at < 0;
  };
  select.addEventListener("change", () => {
    remove.disabled = !chosen();
    if (chosen()) apply(chosen());
  });
  save.addEventListener("click", async () => {
    const name = await askPresetName(chosen()?.name ?? "");
    if (!name) return;
    const others = preference("presets").filter((preset) => preset.name !== name);
    setPreference("presets", [...others, { name, system: system(), sampling: sampling() }]);
    draw(name);
  });
  remove.addEventListener("click", () => {
    setPreference("presets", preference("presets").filter(({ name }) => name !== chosen()?.name));
    draw(null);
  });
  draw(null);
  const row = h("div", { class: "preset-row" }, select, remove, save);
  return h("div", { class: "field" }, h("label", { for: "preset", t: "presets" }), row);
}

const option = ({ name }, index) => h("option", { value: String(index) }, name);
