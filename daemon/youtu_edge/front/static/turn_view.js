// One turn on the page: a question, its answer, and what can be done with them.

import { copyText } from "./copy_button.js";
import { h } from "./dom.js";
import { openMenu } from "./menu.js";
import { Answer } from "./message.js";
import { questionContents } from "./question.js";
import { Pace } from "./pace.js";

export class TurnView {
  #bubble = h("div", { class: "bubble" });
  #question = h("article", { class: "message question", label: "yourQuestion" });
  #more = h("button", { class: "icon-button small more", type: "button", icon: "more", label: "questionActions", "aria-haspopup": "menu", "aria-expanded": "false" });

  /**
   * `prompt` as it is sent, files included. `actions`: edit(view, prompt), regenerate(view), continue(view), remove(view),
   * branch(view, turn).
   */
  constructor(prompt, actions) {
    this.prompt = prompt;
    this.actions = actions;
    this.number = null; // of the turn on the device, once it is stored
    this.branches = []; // numbers of the turns that follow the same one, this one included
    this.answer = null;
    this.#more.addEventListener("click", () => openMenu(this.#more, this.#entries()));
    this.#question.append(this.#more, this.#bubble);
    this.#drawQuestion();
    this.element = h("div", { class: "turn" }, this.#question);
  }

  /** A turn that the device keeps, from its two messages. */
  static stored(question, answer, actions) {
    const view = new TurnView(question.content, actions);
    view.setStored(question.turn, question.branches || []);
    view.#put(new Answer());
    view.answer.addThinking(answer.thinking || "");
    view.answer.add(answer.content);
    view.end({ tokens: answer.completion_tokens, seconds: answer.seconds, rate: answer.tokens_per_second });
    if (answer.finish_reason === "cancelled") view.answer.notice("hint", "stopped");
    if (answer.is_cut) view.offerToContinue();
    return view;
  }

  /** An answer begins; text of the old one is kept when it is continued. */
  begin({ continues = false } = {}) {
    this.pace = new Pace();
    if (!continues) this.#put(new Answer());
    this.answer.notice(null);
    this.answer.wait("sending");
  }

  /** No more text comes. `figures`: {tokens, seconds, rate, dropped}, undefined when they are not known. */
  end(figures) {
    this.answer.end(figures, {
      regenerate: () => this.actions.regenerate(this),
      branches: this.branches,
      number: this.number,
      branch: (turn) => this.actions.branch(this, turn),
    });
  }

  setStored(number, branches) {
    this.number = number;
    this.branches = branches;
  }

  offerToContinue() {
    const button = h("button", { class: "button small", type: "button", t: "continueAnswer", on: { click: () => this.actions.continue(this) } });
    this.answer.notice("hint", "endedByLength", {}, this.number ? button : null);
  }

  /** A field in place of the question. */
  edit() {
    const area = h("textarea", { class: "input edit", label: "editQuestion", rows: 3 });
    area.value = this.prompt;
    const close = () => this.#drawQuestion();
    const send = () => {
      const prompt = area.value.trim();
      close();
      if (prompt) this.actions.edit(this, prompt);
    };
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    const cancel = h("button", { class: "button small", type: "button", t: "cancel", on: { click: close } });
    const confirm = h("button", { class: "button small primary", type: "button", t: "send", on: { click: send } });
    this.#question.classList.add("editing");
    this.#bubble.replaceChildren(area, h("div", { class: "dialog-actions" }, cancel, confirm));
    area.style.height = `${Math.min(area.scrollHeight + 2, 400)}px`;
    area.focus();
  }

  #drawQuestion() {
    this.#question.classList.remove("editing");
    this.#bubble.replaceChildren(...questionContents(this.prompt));
  }

  #put(answer) {
    this.answer?.element.remove();
    this.answer = answer;
    this.element.append(answer.element);
  }

  #entries() {
    return [
      { t: "edit", icon: "pencil", run: () => this.edit() },
      { t: "copy", icon: "copy", run: () => copyText(this.prompt) },
      ...(this.number ? [{ t: "delete", icon: "trash", run: () => this.actions.remove(this), danger: true }] : []),
    ];
  }
}
