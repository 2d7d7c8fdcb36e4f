// An answer as it looks: thinking, text, why it is not as it should be, then figures and what can be done with it.

import { copyButton } from "./copy_button.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { translate } from "./i18n.js";
import { icon } from "./icons.js";
import { MarkdownView } from "./markdown_view.js";
import { canSpeak, speakButton } from "./speech.js";

export class Answer {
  #text = "";
  #thinking = "";
  #prose = new MarkdownView();
  #thoughts = null; // MarkdownView, once there is a thought
  #frame = 0;
  #waiting = "";
  #state = h("div", { class: "answer-state" });
  #notice = h("div", { class: "answer-notice" });

  constructor() {
    this.element = h("article", { class: "message answer", label: "answer" }, this.#prose.element, this.#notice, this.#state);
  }

  get text() {
    return this.#text;
  }

  add(text) {
    this.#text += text;
    this.#schedule();
  }

  addThinking(text) {
    this.#thinking += text;
    this.#schedule();
  }

  /** A line with moving dots instead of figures: what is being waited for. */
  wait(key, parameters) {
    const waiting = JSON.stringify([key, parameters]);
    if (waiting === this.#waiting) return;
    this.#waiting = waiting;
    this.element.setAttribute("aria-busy", "true"); // screen readers read the whole answer, not each piece
    const dots = h("span", { class: key === "paused" ? "dots paused" : "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
    this.#state.replaceChildren(dots, h("span", { t: [key, parameters] }));
  }

  /** No more text comes. `figures`: {tokens, seconds, rate, dropped}; `more`: regenerate(), branches, number, branch(turn). */
  end(figures, more) {
    this.#draw();
    this.#waiting = "";
    this.element.removeAttribute("aria-busy");
    const tools = [this.#text && copyButton(() => this.#text), regenerateButton(more.regenerate), this.#text && canSpeak() && speakButton(() => this.#text)];
    this.#state.replaceChildren(...tools.filter(Boolean), ...pager(more), ...figureElements(figures));
    const summary = this.#thoughts && this.element.querySelector(".thinking summary span");
    if (summary) translate(summary, "thought");
  }

  /** Says beneath the answer why it is not as it should be (`kind`: hint, error, or null for nothing), with what can be done about it. */
  notice(kind, key, parameters, ...actions) {
    this.#notice.replaceChildren();
    if (!kind) return;
    const failed = kind === "error";
    const text = h("span", { t: [key, parameters] });
    this.#notice.append(h("p", { class: `notice ${kind}`, role: failed ? "alert" : null }, failed && icon("alert"), text, actions));
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

const regenerateButton = (run) => h("button", { class: "icon-button small regenerate", type: "button", icon: "again", label: "regenerate", on: { click: run } });

/** The way to the other answers and questions at this place. */
function pager({ branches, number: current, branch }) {
  if (branches.length < 2) return [];
  const at = branches.indexOf(current);
  const step = (name, key, to) =>
    h("button", { class: "icon-button small", type: "button", icon: name, label: key, disabled: to < 0 || to >= branches.length, on: { click: () => branch(branches[to]) } });
  const place = h("span", { class: "pager-place" }, `${at + 1} / ${branches.length}`);
  return [h("span", { class: "pager", role: "group", label: "branches" }, step("left", "previousBranch", at - 1), place, step("right", "nextBranch", at + 1))];
}

function figureElements(figures) {
  if (!figures?.tokens && !figures?.seconds) return [];
  const parts = [];
  if (figures.rate) parts.push(h("span", { t: ["tokensPerSecond", { n: number(figures.rate, 1) }] }));
  if (figures.tokens) parts.push(h("span", { t: ["tokens", { n: number(figures.tokens) }] }));
  if (figures.seconds) parts.push(h("span", { t: ["seconds", { n: number(figures.seconds, 1) }] }));
  if (figures.dropped) parts.push(h("span", { t: ["dropped", { n: number(figures.dropped) }] }));
  return [h("span", { class: "figures" }, parts)];
}
