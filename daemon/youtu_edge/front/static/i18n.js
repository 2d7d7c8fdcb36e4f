// The language of the page. Elements remember the keys of their texts, so that a switch needs no reload.

import { preference, setPreference } from "./preferences.js";
import { strings } from "./strings.js";

export const LANGUAGES = { en: "English", zh: "中文" };

export function language() {
  const chosen = preference("language");
  if (chosen in LANGUAGES) return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** The text of a key; {name} in it is replaced by parameters.name. */
export function t(key, parameters = {}) {
  return strings[key][language()].replace(/\{(\w+)\}/g, (_, name) => parameters[name]);
}

/** The element's text is that of the key, also after a change of the language. */
export function translate(element, key, parameters = {}) {
  element.dataset.t = key;
  element.dataset.tWith = JSON.stringify(parameters);
  element.textContent = t(key, parameters);
}

/** The element's accessible name and tooltip are those of the key. */
export function label(element, key, parameters = {}) {
  element.dataset.tLabel = key;
  element.dataset.tWith = JSON.stringify(parameters);
  write(element);
}

export function placeholder(element, key) {
  element.dataset.tPlaceholder = key;
  write(element);
}

function write(element) {
  const parameters = JSON.parse(element.dataset.tWith || "{}");
  if (element.dataset.t) element.textContent = t(element.dataset.t, parameters);
  if (element.dataset.tPlaceholder) element.placeholder = t(element.dataset.tPlaceholder);
  if (element.dataset.tLabel) {
    element.setAttribute("aria-label", t(element.dataset.tLabel, parameters));
    if (element.matches("button, a")) element.title = t(element.dataset.tLabel, parameters);
  }
}

export function writeTexts() {
  document.documentElement.lang = language();
  document.querySelectorAll("[data-t], [data-t-label], [data-t-placeholder]").forEach(write);
}

/** Listeners of "languagechange" on the document draw again what is not plain text, such as dates. */
export function setLanguage(chosen) {
  setPreference("language", chosen);
  writeTexts();
  document.dispatchEvent(new Event("languagechange"));
}
