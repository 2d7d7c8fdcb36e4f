// A figure over the last minutes, as an SVG line that takes the colour of the text around it.

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

  /** So many `points` are kept. */
  constructor(points) {
    this.points = points;
    this.element = shape("svg", "spark");
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
    this.element.append(this.#area, this.#line);
  }

  /** `floor` is the least upper end of the scale, so that noise near zero stays small; screen readers say `name`. */
  add(value, floor, name) {
    this.#values = [...this.#values, value].slice(-this.points);
    const top = Math.max(floor, ...this.#values) * 1.1;
    const step = WIDTH / (this.points - 1);
    const start = WIDTH - (this.#values.length - 1) * step;
    const points = this.#values.map((each, index) => `${(start + index * step).toFixed(1)},${(HEIGHT - 1 - (each / top) * (HEIGHT - 2)).toFixed(1)}`);
    this.#line.setAttribute("points", points.join(" "));
    this.#area.setAttribute("points", `${start.toFixed(1)},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
    this.element.setAttribute("aria-label", t("sparkline", { name, top: Math.round(Math.max(...this.#values) * 10) / 10 }));
  }
}
