// The sidebar: a column that can be closed on wide screens, a sheet over the page on narrow ones.

import { byId } from "./dom.js";
import { label } from "./i18n.js";
import { preference, setPreference } from "./preferences.js";

const narrow = matchMedia("(max-width: 799px)"); // the same width as in layout.css

export class Sidebar {
  #root = document.documentElement;
  #toggle = byId("sidebar-toggle");

  constructor() {
    this.#toggle.addEventListener("click", () => this.#set(!this.#open));
    byId("scrim").addEventListener("click", () => this.hideOverlay());
    byId("sidebar").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !narrow.matches) return;
      event.stopPropagation();
      this.hideOverlay();
    });
    narrow.addEventListener("change", () => this.#reset());
    this.#reset();
  }

  show() {
    if (!this.#open) this.#set(true);
  }

  /** Off the page on narrow screens, where it covers it; unchanged on wide ones. */
  hideOverlay() {
    if (narrow.matches && this.#open) this.#set(false);
  }

  get #open() {
    return this.#root.dataset.sidebar === "open";
  }

  #reset() {
    this.#root.dataset.sidebar = narrow.matches ? "closed" : preference("sidebar");
    this.#describe();
  }

  #set(open) {
    this.#root.dataset.sidebar = open ? "open" : "closed";
    if (!narrow.matches) setPreference("sidebar", open ? "open" : "closed");
    this.#describe();
    if (narrow.matches) (open ? byId("new-chat") : this.#toggle).focus();
  }

  #describe() {
    this.#toggle.setAttribute("aria-expanded", String(this.#open));
    label(this.#toggle, this.#open ? "hideConversations" : "showConversations");
  }
}
