// Text files that go with a question: counted in tokens by the device, so that what does not fit is seen before it is sent.

import { callJson } from "./api.js";
import { contextLength } from "./device.js";
import { h } from "./dom.js";
import { number } from "./format.js";
import { label, translate } from "./i18n.js";
import { withFiles } from "./question.js";
import { toast } from "./toast.js";

const MAX_BYTES = 1024 * 1024;

export class Attachments {
  #files = []; // {name, text, tokens: null while unknown}

  /** Chips are put into `element`; `changed()` is called when files come, go or are counted. */
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
  }

  get empty() {
    return !this.#files.length;
  }

  /** Whether the files alone are larger than what the model can see. */
  get tooLarge() {
    return contextLength() !== null && this.tokens > contextLength();
  }

  get tokens() {
    return this.#files.reduce((sum, { tokens }) => sum + (tokens ?? 0), 0);
  }

  async add(files) {
    for (const file of files) {
      const text = file.size <= MAX_BYTES ? await file.text() : null;
      if (text === null) toast("fileTooLarge", { name: file.name }, "error");
      else if (text.includes("\0") || text.includes("\ufffd")) toast("fileNotText", { name: file.name }, "error");
      else this.#add({ name: file.name, text, tokens: null });
    }
  }

  /** The question with the files, which are taken. */
  take(question) {
    const prompt = withFiles(question, this.#files);
    this.#files = [];
    this.#draw();
    return prompt;
  }

  async #add(file) {
    this.#files.push(file);
    this.#draw();
    try {
      file.tokens = (await callJson("POST", "tokenize", { body: { content: withFiles("", [file]), add_special: false } })).tokens.length;
    } catch {
      return; // the device is away: it counts when the question is asked
    }
    if (this.#files.includes(file)) this.#draw();
  }

  #draw() {
    this.element.replaceChildren(...this.#files.map((file) => this.#chip(file)));
    this.element.hidden = this.empty;
    if (!this.empty && contextLength() !== null) this.element.append(this.#sum());
    this.changed();
  }

  #chip(file) {
    const remove = h("button", { class: "icon-button small", type: "button", icon: "close", label: ["removeFile", { name: file.name }] });
    remove.addEventListener("click", () => {
      this.#files = this.#files.filter((other) => other !== file);
      this.#draw();
    });
    const count = h("span", { class: "chip-count" });
    if (file.tokens === null) translate(count, "counting");
    else translate(count, "tokens", { n: number(file.tokens) });
    return h("span", { class: "chip" }, h("span", { class: "chip-name", title: file.name }, file.name), count, remove);
  }

  #sum() {
    const sum = h("span", { class: this.tooLarge ? "chip-sum error" : "chip-sum", role: this.tooLarge ? "alert" : "status" });
    translate(sum, this.tooLarge ? "filesTooLarge" : "filesOfContext", { n: number(this.tokens), of: number(contextLength()) });
    label(this.element, "files");
    return sum;
  }
}
