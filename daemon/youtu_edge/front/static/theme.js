// Light, dark, or the system's theme.

import { preference, setPreference } from "./preferences.js";

const THEMES = ["system", "light", "dark"];

const dark = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const theme = preference("theme");
  document.documentElement.dataset.theme = theme === "dark" || (theme === "system" && dark.matches) ? "dark" : "light";
}

export function watchTheme() {
  dark.addEventListener("change", apply);
  apply();
}

export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(preference("theme")) + 1) % THEMES.length];
  setPreference("theme", next);
  apply();
  return next;
}
