// The input for questions: grows with its text, Enter sends, Shift+Enter breaks the line, Escape stops the answer.

import { byId } from "./dom.js";
import { label } from "./i18n.js";
import { icon } from "./icons.js";

const DRAFT = "youtu-edge-draft"; // sessionStorage: survives a reload, not the tab

export class Composer {
  #form = byId("composer");
  #area = byId("question");
  #button = byId("send");
  #busy = null;

  /** `send(text)` and `stop()` are called on the person's actions. */
  constructor(send, stop) {
    this.send = send;
    this.stop = stop;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#busy) this.stop();
      else this.#submit();
    });
    this.#area.addEventListener("input", () => this.#changed());
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#area.value = sessionStorage.getItem(DRAFT) || "";
    this.busy = false;
  }

  set busy(busy) {
    if (busy !== this.#busy) {
      this.#busy = busy;
      this.#button.replaceChildren(icon(busy ? "stop" : "up"));
      this.#button.classList.toggle("stop", busy);
      label(this.#button, busy ? "stop" : "send");
    }
    this.#changed();
  }

  get text() {
    return this.#area.value;
  }

  set text(text) {
    this.#area.value = text;
    this.#changed();
  }

  focus() {
    this.#area.focus({ preventScroll: true });
  }

  /** On a touch screen the focus would cover half of it with the on-screen keyboard. */
  focusWithoutKeyboard() {
    if (matchMedia("(hover: hover)").matches) this.focus();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return; // 229: Enter confirms a candidate of an input method
    event.preventDefault();
    if (!this.#busy) this.#submit();
  }

  #submit() {
    const text = this.#area.value.trim();
    if (!text) return;
    this.text = "";
    this.send(text);
  }

  #changed() {
    sessionStorage.setItem(DRAFT, this.#area.value);
    this.#button.disabled = !this.#busy && !this.#area.value.trim();
    this.#area.style.height = "auto";
    this.#area.style.height = `${this.#area.scrollHeight}px`;
  }
}
