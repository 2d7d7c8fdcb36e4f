// The list of kept conversations in the sidebar, newest first, by age; or those that a search has found.

import { h } from "./dom.js";
import { ageGroup } from "./format.js";
import { t } from "./i18n.js";
import { openMenu } from "./menu.js";
import { titleText } from "./question.js";

export class SessionList {
  #sessions = [];
  #state = "loading"; // loading | read | found | failed
  #more = false;
  #current = null;

  /** `actions`: rename, clear, exportJson, exportMarkdown, delete, each called with a session; retry() reads the list again, older() more of it. */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    this.#draw();
  }

  show(state, sessions = [], more = false) {
    this.#state = state;
    this.#sessions = sessions;
    this.#more = more;
    this.#draw();
  }

  set current(id) {
    this.#current = id;
    for (const link of this.element.querySelectorAll("a[data-id]")) mark(link, link.dataset.id === id);
  }

  #draw() {
    const focused = document.activeElement?.closest?.("[data-row]")?.dataset.row;
    this.element.replaceChildren(...this.#contents());
    if (focused) this.element.querySelector(`[data-row="${CSS.escape(focused)}"] a`)?.focus();
  }

  #contents() {
    if (this.#state === "loading") return [h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"))];
    if (this.#state === "failed") {
      const retry = h("button", { class: "button small", type: "button", t: "tryAgain", on: { click: this.actions.retry } });
      return [h("p", { class: "hint", t: "listFailed" }), retry];
    }
    if (this.#state === "found") return this.#found();
    if (!this.#sessions.length) return [h("p", { class: "hint", t: "noConversations" })];
    return this.#groups();
  }

  #found() {
    if (!this.#sessions.length) return [h("p", { class: "hint", role: "status", t: "nothingFound" })];
    return [h("ul", { label: "found" }, this.#sessions.map((session) => this.#row(session)))];
  }

  #groups() {
    const groups = new Map();
    for (const session of this.#sessions) {
      const group = ageGroup(session.updated);
      groups.set(group, [...(groups.get(group) || []), session]);
    }
    const lists = [...groups].flatMap(([group, sessions]) => [
      h("h2", { class: "group", id: `group-${group}`, t: group }),
      h("ul", { "aria-labelledby": `group-${group}` }, sessions.map((session) => this.#row(session))),
    ]);
    const more = this.#more && h("button", { class: "button ghost", type: "button", t: "showOlder", on: { click: this.actions.older } });
    return more ? [...lists, more] : lists;
  }

  #row(session) {
    const title = titleText(session.title) || t("untitled");
    const place = session.excerpt && h("span", { class: "excerpt" }, session.excerpt);
    const link = h("a", { href: `#/chat/${session.id}`, "data-id": session.id, title }, title, place);
    mark(link, session.id === this.#current);
    const button = h("button", {
      class: "icon-button small",
      type: "button",
      icon: "more",
      label: ["actionsOf", { title }],
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    });
    button.addEventListener("click", () => openMenu(button, this.#entries(session)));
    return h("li", { "data-row": session.id }, link, button);
  }

  #entries(session) {
    const run = (name) => () => this.actions[name](session);
    return [
      { t: "rename", icon: "pencil", run: run("rename") },
      { t: "exportJson", icon: "download", run: run("exportJson") },
      { t: "exportMarkdown", icon: "download", run: run("exportMarkdown") },
      { t: "clear", icon: "eraser", run: run("clear") },
      { t: "delete", icon: "trash", run: run("delete"), danger: true },
    ];
  }
}

function mark(link, current) {
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
