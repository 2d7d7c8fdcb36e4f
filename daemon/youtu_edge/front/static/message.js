// The two kinds of messages as they look: what a person asked, and an answer with its thinking, state and figures.

import { copyButton } from "./copy_button.js";
import { h } from "./dom.js";
import { translate } from "./i18n.js";
import { icon } from "./icons.js";
import { MarkdownView } from "./markdown_view.js";
import { number } from "./format.js";

export function questionElement(text) {
  return h("article", { class: "message question", label: "yourQuestion" }, h("p", {}, text));
}

export class Answer {
  #text = "";
  #thinking = "";
  #prose = new MarkdownView();
  #thoughts = null; // MarkdownView, once there is a thought
  #frame = 0;
  #waiting = "";
  #state = h("p", { class: "answer-state" });
  #notice = h("div", { class: "answer-notice" });

  constructor() {
    this.element = h("article", { class: "message answer", label: "answer" }, this.#prose.element, this.#notice, this.#state);
  }

  /** A finished answer from the device's memory. */
  static of({ content, thinking }) {
    const answer = new Answer();
    if (thinking) answer.addThinking(thinking);
    answer.add(content);
    answer.end();
    return answer;
  }

  add(text) {
    this.#text += text;
    this.#schedule();
  }

  addThinking(text) {
    this.#thinking += text;
    this.#schedule();
  }

  /** A line with moving dots instead of text: what is being waited for. */
  wait(key, parameters) {
    const waiting = JSON.stringify([key, parameters]);
    if (waiting === this.#waiting) return;
    this.#waiting = waiting;
    this.element.setAttribute("aria-busy", "true"); // screen readers read the whole answer, not each piece
    const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
    this.#state.replaceChildren(dots, h("span", { t: [key, parameters] }));
  }

  /** No more text comes. `figures` are told beneath: {tokens, seconds, rate, dropped}. */
  end(figures) {
    this.#draw();
    this.#waiting = "";
    this.element.removeAttribute("aria-busy");
    this.#state.replaceChildren(...(this.#text ? [copyButton(() => this.#text)] : []), ...figureElements(figures));
    const summary = this.#thoughts && this.element.querySelector(".thinking summary span");
    if (summary) translate(summary, "thought");
  }

  /** Says beneath the answer why it is not as it should be (`kind`: hint or error), with what can be done about it. */
  notice(kind, key, parameters, ...actions) {
    const failed = kind === "error";
    const text = h("span", { t: [key, parameters] });
    this.#notice.replaceChildren(h("p", { class: `notice ${kind}`, role: failed ? "alert" : null }, failed && icon("alert"), text, actions));
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#thinking) {
      this.#thoughts ??= this.#unfoldable();
      this.#thoughts.update(this.#thinking);
    }
    this.#prose.update(this.#text);
  }

  #unfoldable() {
    const thoughts = new MarkdownView("prose thoughts");
    this.element.prepend(h("details", { class: "thinking" }, h("summary", {}, h("span", { t: "thinking" })), thoughts.element));
    return thoughts;
  }
}

function figureElements(figures) {
  if (!figures) return [];
  const parts = [];
  if (figures.rate !== null) parts.push(h("span", { t: ["tokensPerSecond", { n: number(figures.rate, 1) }] }));
  if (figures.tokens) parts.push(h("span", { t: ["tokens", { n: number(figures.tokens) }] }));
  parts.push(h("span", { t: ["seconds", { n: number(figures.seconds, 1) }] }));
  if (figures.dropped) parts.push(h("span", { t: ["dropped", { n: number(figures.dropped) }] }));
  return [h("span", { class: "figures" }, parts)];
}
