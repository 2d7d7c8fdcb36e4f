// The field over the list of conversations: the device searches when typing pauses, Escape empties it.

import { byId } from "./dom.js";

const PAUSE_MS = 250;

export class SearchField {
  #field = byId("search");
  #timer = 0;

  /** `changed()` is called when there is another text to search for. */
  constructor(changed) {
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(changed, this.text ? PAUSE_MS : 0);
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#field.value) return;
      event.stopPropagation();
      event.preventDefault();
      this.#field.value = "";
      changed();
    });
  }

  get text() {
    return this.#field.value.trim().slice(0, 200);
  }

  focus() {
    this.#field.focus();
    this.#field.select();
  }
}
