// One conversation: its turns on the page and at most one answer in progress, which continues while another conversation is shown.
// Events: "change" (busy or title changed), "begun" (the device has accepted a question), "turn" (an exchange ended).

import { confirmDeleteTurn } from "./dialogs.js";
import { h } from "./dom.js";
import { explain } from "./errors.js";
import { Exchange } from "./exchange.js";
import { Answer } from "./message.js";
import { forgetAsked, keepAsked, lastAsked } from "./open_questions.js";
import { parts } from "./question.js";
import { changeSession, deleteTurn, newId, readSession } from "./session_store.js";
import { sampling } from "./sampling.js";
import { toast } from "./toast.js";
import { TurnView } from "./turn_view.js";

const WAITS = { 409: "waitSession", 429: "waitBusy", 503: "waitLoading" };
const TITLE_LENGTH = 60;

export class Conversation extends EventTarget {
  #exchange = null;
  #storedSystem = ""; // as the device has it
  #isNew;
  #views = [];
  #actions = {
    edit: (view, prompt) => this.#again(view, prompt),
    regenerate: (view) => this.#again(view, view.prompt),
    continue: (view) => this.#continue(view),
    remove: (view) => this.#guard(() => this.#remove(view)),
    branch: (view, turn) => this.#guard(async () => !this.busy && this.#show(await changeSession(this.id, { turn }))),
  };

  /** `isNew`: the device does not know it yet. `system` may be set until the first question takes it along. */
  constructor(id, isNew) {
    super();
    this.id = id;
    this.#isNew = isNew;
    this.title = "";
    this.system = "";
    this.element = h("div", { class: "messages" });
  }

  get busy() {
    return this.#exchange !== null;
  }

  /** Nothing was ever asked in it. */
  get untouched() {
    return this.#isNew && !this.title;
  }

  get empty() {
    return !this.element.childElementCount;
  }

  /** The last turn, null without one. */
  get last() {
    return this.#views.at(-1) ?? null;
  }

  /** Shows what the device has; false when an answer is still under way in another tab. Throws ApiError or ConnectionLost. */
  async load() {
    const asked = lastAsked(this.id);
    let document = null;
    try {
      document = await readSession(this.id);
    } catch (error) {
      if (!asked || error.status !== 404) throw error; // before its first answer the device has only the question
    }
    if (this.busy) return true;
    if (document) this.#show(document);
    const isOver = asked && document && document.running_request === null && document.messages.length > asked.messages;
    if (isOver) forgetAsked(this.id);
    else if (asked) this.#resume(asked);
    else if (document.running_request) this.#showElsewhere();
    return this.busy || !document.running_request;
  }

  #show({ title, system, messages }) {
    this.title = title || "";
    this.system = this.#storedSystem = system || "";
    this.#views = [];
    for (let at = 0; at + 1 < messages.length; at += 2) this.#views.push(TurnView.stored(messages[at], messages[at + 1], this.#actions));
    this.element.replaceChildren(...this.#views.map(({ element }) => element));
    this.#tell("change");
  }

  #showElsewhere() {
    const answer = new Answer();
    answer.wait("elsewhere");
    this.element.append(answer.element);
  }

  ask(prompt) {
    this.title ||= titleOf(prompt);
    const last = this.last;
    const failed = last && last.number === null; // the device has not kept it: the turn before it is the one that is followed
    this.#put(prompt, failed ? {} : { parent: last ? last.number : null });
  }

  stop() {
    this.#exchange?.stop();
  }

  /** A new system prompt; the next question takes it along, and the device is told at once where it knows the conversation. */
  async changeSystem(system) {
    this.system = system;
    if (this.empty || this.busy) return;
    await changeSession(this.id, { system });
    this.#storedSystem = system;
  }

  /** Stops, and forgets what is on the page; resolves when the device is done with the answer. */
  async clear() {
    if (this.busy) {
      const ended = new Promise((resolve) => this.addEventListener("turn", resolve, { once: true }));
      this.stop();
      await ended;
    }
    this.#views = [];
    this.element.replaceChildren();
  }

  /** The same question again, or another one in its place: a branch beside `view`. */
  #again(view, prompt) {
    if (this.busy) return;
    const at = this.#views.indexOf(view);
    const before = this.#views.slice(0, at).findLast(({ number }) => number !== null);
    for (const later of this.#views.splice(at)) later.element.remove();
    this.#put(prompt, { parent: before ? before.number : 0, branches: view.number ? branchesOf(view) : [] });
  }

  /** After a failure: in its place, or at the end if something else was asked since. */
  #retry(view) {
    if (view === this.last) this.#again(view, view.prompt);
    else if (!this.busy) this.ask(view.prompt);
  }

  #continue(view) {
    if (!this.busy) this.#run(view, { continue_turn: view.number }, { continues: true, branches: view.branches });
  }

  async #remove(view) {
    if (this.busy || !(await confirmDeleteTurn())) return;
    this.#show(await deleteTurn(this.id, view.number));
    this.#tell("turn");
    toast("turnDeleted");
  }

  #put(prompt, { parent = null, branches = [] }) {
    const view = new TurnView(prompt, this.#actions);
    this.#views.push(view);
    this.element.append(view.element);
    this.#run(view, parent === null ? { prompt } : { prompt, parent_turn: parent }, { branches });
  }

  /** After a reload: the answer that this tab was waiting for. */
  #resume({ prompt, body, key, branches, messages }) {
    const continued = body.continue_turn && this.#views.find(({ number }) => number === body.continue_turn);
    const view = continued || new TurnView(prompt, this.#actions);
    if (!continued) {
      this.title ||= titleOf(prompt);
      for (const other of this.#views.splice(messages / 2)) other.element.remove(); // another branch
      this.#views.push(view);
      this.element.append(view.element);
    }
    this.#start(view, body, key, { continues: Boolean(continued), branches });
  }

  #run(view, place, { continues = false, branches }) {
    const body = { ...sampling(), ...place, session_id: this.id };
    if (this.system !== this.#storedSystem) body.system = this.system;
    const key = newId();
    const messages = 2 * this.#views.filter(({ number }) => number !== null && number !== place.continue_turn).length;
    keepAsked(this.id, { prompt: view.prompt, body, key, branches, messages });
    this.#start(view, body, key, { continues, branches });
  }

  #start(view, body, key, { continues, branches }) {
    view.begin({ continues });
    const { answer, pace } = view;
    this.#exchange = new Exchange(body, key, {
      waiting: (error, seconds) => answer.wait(WAITS[error.status], { s: seconds }),
      started: () => {
        this.#storedSystem = body.system ?? this.#storedSystem;
        answer.wait("reading");
        this.#tell("begun");
      },
      paused: () => answer.wait("paused"),
      thinking: (text) => (pace.piece(), answer.wait("thinking"), answer.addThinking(text)),
      text: (text) => (pace.piece(), answer.wait("writing"), answer.add(text)),
      finished: (last) => {
        this.#end(view, branches, last);
        if (last.finish_reason === "length") view.offerToContinue();
      },
      stopped: (last) => {
        this.#end(view, branches, last);
        answer.notice("hint", "stopped");
      },
      failed: (error, begun) => {
        this.#end(view, branches);
        const again = h("button", { class: "button small", type: "button", t: "tryAgain", on: { click: () => this.#retry(view) } });
        const [sentence, parameters] = explain(error, begun);
        answer.notice("error", sentence, parameters, error.code === "context_length_exceeded" ? null : again);
      },
    });
    this.#tell("change");
    this.#exchange.run();
  }

  /** `last`: the last document of the stream, undefined when it broke off. */
  #end(view, branches, last) {
    this.#exchange = null;
    forgetAsked(this.id);
    if (last?.turn) view.setStored(last.turn, [...new Set([...branches, last.turn])]);
    const tokens = last?.usage.completion_tokens;
    const { pace } = view;
    view.end(last && { tokens, seconds: last.seconds ?? pace.seconds, rate: last.tokens_per_second ?? pace.rate(tokens), dropped: last.dropped_turns });
    if (last?.stored === false) view.answer.notice("error", "notStored");
    this.#tell("change");
    this.#tell("turn");
  }

  async #guard(action) {
    try {
      await action();
    } catch (error) {
      toast(...explain(error), "error");
    }
  }

  #tell(event) {
    this.dispatchEvent(new Event(event));
  }
}

const branchesOf = (view) => (view.branches.length ? view.branches : [view.number]);

/** The title that the device will give, so that it does not change once the answer is there. */
function titleOf(prompt) {
  const text = [...(parts(prompt).text || prompt).trim().replace(/\s+/g, " ")];
  return text.length <= TITLE_LENGTH ? text.join("") : `${text.slice(0, TITLE_LENGTH - 1).join("")}…`;
}
