// The chat page: which conversation is shown, and what happens to the others.

import { ApiError } from "./api.js";
import { Autoscroll } from "./autoscroll.js";
import { Composer } from "./composer.js";
import { copyText } from "./copy_button.js";
import { Conversation } from "./conversation.js";
import { askTitle, confirmClear, confirmDelete } from "./dialogs.js";
import { byId, h } from "./dom.js";
import { explain } from "./errors.js";
import { chooseFiles } from "./files.js";
import { translate } from "./i18n.js";
import { icon } from "./icons.js";
import { SessionList } from "./session_list.js";
import * as store from "./session_store.js";
import { titleText } from "./question.js";
import { SearchField } from "./search_field.js";
import { toast } from "./toast.js";
import { welcome } from "./welcome.js";

const AGAIN_MS = 700;
const TRIES = 4; // after a reload during its first answer, a conversation exists only a moment later

export class Chat {
  #transcript = byId("transcript");
  #scroll = new Autoscroll(this.#transcript, byId("to-end"));
  #composer = new Composer({
    send: (prompt) => this.#ask(prompt),
    stop: () => this.#conversation.stop(),
    editLast: () => this.#conversation.last?.edit(),
  });
  #search = new SearchField(() => this.#guard(() => this.refresh()));
  #list;
  #sessions = [];
  #more = false;
  #shown = true;
  #conversation = null;
  #open = new Map(); // id -> conversation on the page or still being answered

  /** `go(path)` changes the address; the router then calls show(). */
  constructor(go) {
    this.go = go;
    this.#list = new SessionList(byId("session-list"), {
      retry: () => this.refresh(),
      older: () => this.#guard(() => this.#older()),
      rename: (session) => this.#guard(() => this.#rename(session)),
      clear: (session) => this.#guard(() => this.#clear(session)),
      exportJson: (session) => this.#guard(() => this.#export(session, "json")),
      exportMarkdown: (session) => this.#guard(() => this.#export(session, "markdown")),
      delete: (session) => this.#guard(() => this.#delete(session)),
    });
    byId("settings-open").addEventListener("click", () => this.openSettings());
    byId("import").addEventListener("click", () => this.#guard(() => this.#import()));
    document.addEventListener("languagechange", () => this.#listSessions());
  }

  /** The panel for the system prompt and for how answers are sampled. */
  openSettings() {
    this.#guard(async () => {
      const { openSettings } = await import("./settings.js");
      openSettings(this.#conversation, (system) => this.#guard(() => this.#conversation.changeSystem(system)));
    });
  }

  search() {
    this.#search.focus();
  }

  regenerate() {
    const last = this.#shown && this.#conversation?.last;
    if (last) last.actions.regenerate(last);
  }

  copyAnswer() {
    const last = this.#shown && this.#conversation?.last;
    if (last?.answer) this.#guard(async () => (await copyText(last.answer.text)) && toast("copied"));
  }

  focus() {
    this.#composer.focus();
  }

  /** Reads the list of conversations again. */
  async refresh() {
    try {
      const { sessions, more } = await store.listSessions({ search: this.#search.text });
      this.#sessions = sessions;
      this.#more = more;
      this.#listSessions();
    } catch {
      if (!this.#sessions.length) this.#list.show("failed");
    }
  }

  /** Shows a conversation, a new one without `id`. */
  async show(id) {
    const current = this.#conversation;
    if (id ? id === current?.id : current?.untouched) {
      this.#composer.focusWithoutKeyboard();
      return;
    }
    this.#leave();
    const known = id && this.#open.get(id);
    this.#enter(known || this.#create(id || store.newId(), !id));
    if (!id) this.#welcome();
    else if (!known) await this.#load();
  }

  /** Whether this is the page that is shown; title and mark in the list belong to the one that is. */
  set shown(shown) {
    this.#shown = shown;
    if (this.#conversation) this.#changed();
  }

  stop() {
    if (this.#shown) this.#conversation?.stop();
  }

  #create(id, isNew) {
    const conversation = new Conversation(id, isNew);
    conversation.addEventListener("change", () => conversation === this.#conversation && this.#changed());
    conversation.addEventListener("begun", () => conversation === this.#conversation && this.#address(id));
    conversation.addEventListener("turn", () => {
      if (conversation !== this.#conversation) this.#open.delete(conversation.id);
      this.refresh();
    });
    return conversation;
  }

  #leave() {
    const left = this.#conversation;
    if (left && !left.busy) this.#open.delete(left.id);
  }

  #enter(conversation) {
    this.#conversation = conversation;
    this.#open.set(conversation.id, conversation);
    this.#changed();
    this.#draw();
    this.#composer.focusWithoutKeyboard();
  }

  async #load() {
    const conversation = this.#conversation;
    const shown = () => conversation === this.#conversation;
    const slow = setTimeout(() => shown() && this.#transcript.replaceChildren(h("p", { class: "placeholder", t: "loadingConversation" })), 300);
    try {
      for (let tries = 0; shown(); tries += 1) {
        if (await loaded(conversation, tries)) break;
        if (shown() && !conversation.empty) this.#draw();
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
      if (shown()) this.#draw();
    } catch (error) {
      if (shown()) this.#notLoaded(error);
    } finally {
      clearTimeout(slow);
    }
  }

  #draw() {
    const { element } = this.#conversation;
    if (element.parentElement !== this.#transcript) this.#transcript.replaceChildren(element);
    this.#scroll.follow(element);
  }

  #notLoaded(error) {
    const gone = error instanceof ApiError && error.status === 404;
    const button = gone
      ? h("button", { class: "button", type: "button", t: "newChat", on: { click: () => this.go("/") } })
      : h("button", { class: "button", type: "button", t: "tryAgain", on: { click: () => this.#load() } });
    this.#transcript.replaceChildren(h("div", { class: "placeholder", role: "alert" }, icon("alert"), h("p", { t: gone ? "gone" : "notLoaded" }), button));
  }

  #welcome() {
    this.#transcript.replaceChildren(welcome((text) => {
      this.#composer.text = text;
      this.#composer.focus();
    }));
  }

  #ask(prompt) {
    if (this.#conversation.busy) return;
    this.#conversation.ask(prompt);
    this.#draw();
    this.#listSessions();
  }

  /** From now on a reload finds the conversation. */
  #address(id) {
    if (this.#shown) history.replaceState(null, "", `#/chat/${id}`);
  }

  #changed() {
    this.#composer.busy = this.#conversation.busy;
    this.#list.current = this.#shown ? this.#conversation.id : null;
    if (!this.#shown) return;
    const title = titleText(this.#conversation.title);
    translate(byId("title"), title ? "plain" : "newChat", { text: title });
    document.title = title ? `${title} · youtu-edge` : "youtu-edge";
  }

  async #older() {
    const { sessions, more } = await store.listSessions({ before: this.#sessions.at(-1).id, search: this.#search.text });
    this.#sessions.push(...sessions);
    this.#more = more;
    this.#listSessions();
  }

  #listSessions() {
    if (this.#search.text) {
      this.#list.show("found", this.#sessions, this.#more);
      return;
    }
    const known = new Set(this.#sessions.map(({ id }) => id));
    const begun = [...this.#open.values()].filter(({ id, busy }) => busy && !known.has(id)); // the device lists them once answered
    const sessions = [...begun.map(({ id, title }) => ({ id, title, updated: Date.now() / 1000 })), ...this.#sessions];
    this.#list.show("read", sessions, this.#more);
    const listed = this.#sessions.find(({ id }) => id === this.#conversation?.id);
    if (listed?.title) this.#conversation.title = listed.title;
    if (this.#conversation) this.#changed();
  }

  async #export(session, form) {
    const { exportSession } = await import("./transfer.js");
    await exportSession(session.id, form);
  }

  async #import() {
    const { importText } = await import("./transfer.js");
    for (const file of await chooseFiles({ accept: ".json,.md,.markdown,application/json,text/markdown" })) {
      const id = await importText(await file.text());
      this.go(`/chat/${id}`);
    }
    await this.refresh();
  }

  async #rename(session) {
    const title = await askTitle(session.title);
    if (!title) return;
    await store.changeSession(session.id, { title });
    await this.refresh();
  }

  async #clear(session) {
    if (!(await confirmClear(session.title))) return;
    await this.#open.get(session.id)?.clear();
    await store.clearSession(session.id);
    if (session.id === this.#conversation.id) this.#welcome();
    await this.refresh();
    toast("cleared");
  }

  async #delete(session) {
    if (!(await confirmDelete(session.title))) return;
    await this.#open.get(session.id)?.clear();
    await store.deleteSession(session.id);
    if (session.id === this.#conversation.id) this.go("/");
    await this.refresh();
    toast("deleted");
  }

  /** Shows a toast when an action outside the conversation fails. */
  async #guard(action) {
    try {
      await action();
    } catch (error) {
      if (error instanceof SyntaxError) toast("notAConversation", {}, "error");
      else toast(...explain(error), "error");
    }
  }
}

/** False when the conversation should be looked at again. Throws ApiError or ConnectionLost. */
async function loaded(conversation, tries) {
  try {
    return await conversation.load();
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404) || tries >= TRIES) throw error;
    return false;
  }
}
