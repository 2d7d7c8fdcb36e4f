// A figure over the last minutes, as an SVG line that takes the colour of the text around it, over an axis.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 48;

function shape(name, className) {
  const element = document.createElementNS(SVG, name);
  element.setAttribute("class", className);
  return element;
}

export class Sparkline {
  #values = [];
  #line = shape("polyline", "spark-line");
  #area = shape("polygon", "spark-area");
  #svg = shape("svg", "spark");
  #top = h("span", { class: "axis-top" });

  /** So many `points` are kept. */
  constructor(points) {
    this.points = points;
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("role", "img");
    this.#svg.append(this.#area, this.#line);
    const axis = h("div", { class: "axis", "aria-hidden": "true" }, h("span", { t: "ago_2min" }), h("span", { t: "now" }));
    this.element = h("div", { class: "chart" }, this.#top, this.#svg, axis);
  }

  /**
   * `floor` is the least upper end of the scale, so that noise near zero stays small; screen readers say `name`; `unit(value)` writes
   * the upper end.
   */
  add(value, floor, name, unit) {
    this.#values = [...this.#values, value].slice(-this.points);
    const top = Math.max(floor, ...this.#values);
    const step = WIDTH / (this.points - 1);
    const start = WIDTH - (this.#values.length - 1) * step;
    const points = this.#values.map((each, index) => `${(start + index * step).toFixed(1)},${(HEIGHT - 1 - (each / top) * (HEIGHT - 2)).toFixed(1)}`);
    this.#line.setAttribute("points", points.join(" "));
    this.#area.setAttribute("points", `${start.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
    this.#top.textContent = unit(top);
    this.#svg.setAttribute("aria-label", t("sparkline", { name, top: unit(Math.max(...this.#values)) }));
  }
}
