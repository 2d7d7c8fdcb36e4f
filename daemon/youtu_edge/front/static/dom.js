// Builds elements without parsing HTML: what a model or a person wrote is never markup.

import { icon } from "./icons.js";
import { label, placeholder, translate } from "./i18n.js";

/**
 * h("button", { class: "button", t: "copy", on: { click } }, child, "text")
 *
 * `t`, `label` and `placeholder` are keys of strings.js, the first two also [key, parameters]; `icon` puts an icon first; `on` holds listeners;
 * everything else is an attribute, left out when false or null.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "icon") element.append(icon(value));
    else if (name === "t") translate(element, ...[value].flat());
    else if (name === "label") label(element, ...[value].flat());
    else if (name === "placeholder") placeholder(element, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Puts the icons named in the page's markup into their places. */
export function drawIcons(root = document) {
  for (const element of root.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
}
