// The input for questions: grows with its text, Enter sends, Shift+Enter breaks the line, Escape stops the answer. Text files are
// attached by their button, by dropping and by pasting; with the browser's speech there is a button to hold while talking.

import { Attachments } from "./attachments.js";
import { byId } from "./dom.js";
import { label } from "./i18n.js";
import { icon } from "./icons.js";
import { canListen, pushToTalk } from "./speech.js";
import { chooseFiles } from "./files.js";

const DRAFT = "youtu-edge-draft"; // sessionStorage: survives a reload, not the tab

export class Composer {
  #form = byId("composer");
  #area = byId("question");
  #button = byId("send");
  #files = new Attachments(byId("attachments"), () => this.#changed());
  #busy = null;

  /** `send(prompt)` and `stop()` are called on the person's actions, `editLast()` on the arrow key up in an empty field. */
  constructor({ send, stop, editLast }) {
    this.send = send;
    this.stop = stop;
    this.editLast = editLast;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#busy) this.stop();
      else this.#submit();
    });
    this.#area.addEventListener("input", () => this.#changed());
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#listenForFiles();
    this.#listenForSpeech();
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

  #listenForFiles() {
    byId("attach").addEventListener("click", async () => this.#files.add(await chooseFiles()));
    this.#area.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.#files.add(event.clipboardData.files);
    });
    const chat = byId("chat");
    chat.addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
    chat.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#files.add(event.dataTransfer.files);
    });
  }

  #listenForSpeech() {
    const button = byId("talk");
    button.hidden = !canListen();
    if (button.hidden) return;
    let before = "";
    button.addEventListener("pointerdown", () => (before = this.text && `${this.text.trimEnd()} `));
    pushToTalk(button, (said) => (this.text = before + said));
  }

  #key(event) {
    if (event.key === "ArrowUp" && !this.text && !this.#busy) {
      event.preventDefault();
      this.editLast();
      return;
    }
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return; // 229: Enter confirms a candidate of an input method
    event.preventDefault();
    if (!this.#busy) this.#submit();
  }

  #submit() {
    const text = this.#area.value.trim();
    if (!this.#hasQuestion || this.#files.tooLarge) return;
    this.text = "";
    this.send(this.#files.take(text));
    if (matchMedia("(pointer: coarse)").matches) this.#area.blur(); // the keyboard on the screen would cover the answer
  }

  get #hasQuestion() {
    return Boolean(this.#area.value.trim()) || !this.#files.empty;
  }

  #changed() {
    sessionStorage.setItem(DRAFT, this.#area.value);
    this.#button.disabled = !this.#busy && (!this.#hasQuestion || this.#files.tooLarge);
    this.#area.style.height = "auto";
    this.#area.style.height = `${this.#area.scrollHeight}px`;
  }
}
