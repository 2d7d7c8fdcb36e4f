// One conversation: its messages on the page and at most one answer in progress, which continues while another conversation is shown.
// Events: "change" (busy or title changed), "begun" (the device has accepted a question), "turn" (an exchange ended).

import { ApiError, ConnectionLost } from "./api.js";
import { deviceState, poll, whenReady } from "./device.js";
import { h } from "./dom.js";
import { Exchange } from "./exchange.js";
import { Answer, questionElement } from "./message.js";
import { Pace } from "./pace.js";
import { changeSession, readSession } from "./session_store.js";

const WAITS = { 409: "waitSession", 429: "waitBusy", 503: "waitLoading" };
const TITLE_LENGTH = 60;

export class Conversation extends EventTarget {
  #exchange = null;
  #storedSystem = ""; // as the device has it
  #away = new AbortController(); // ends the wait for an unreachable device

  #isNew;

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

  /** Shows what the device has; false when an answer is still under way, in another tab or in this one before a reload. */
  async load() {
    const document = await readSession(this.id);
    if (this.busy) return true;
    this.#show(document);
    return !document.running_request;
  }

  #show({ title, system, messages, running_request: running }) {
    this.title = title || "";
    this.system = this.#storedSystem = system || "";
    const draw = (message) => (message.role === "user" ? questionElement(message.content) : Answer.of(message).element);
    this.element.replaceChildren(...messages.map(draw));
    if (running) {
      const answer = new Answer();
      answer.wait("elsewhere");
      this.element.append(answer.element);
    }
    this.#tell("change");
  }

  /** `sampling` holds the request's fields that the person set. */
  ask(prompt, sampling) {
    this.#away.abort();
    this.#away = new AbortController();
    this.title ||= titleOf(prompt);
    const body = { ...sampling, prompt, session_id: this.id };
    if (this.system !== this.#storedSystem) body.system = this.system;
    this.element.append(questionElement(prompt));
    this.#run(body);
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
    this.#away.abort();
    this.element.replaceChildren();
  }

  #run(body) {
    const answer = new Answer();
    const pace = new Pace();
    this.element.append(answer.element);
    answer.wait("sending");
    this.#exchange = new Exchange(body, {
      waiting: (error, seconds) => answer.wait(WAITS[error.status], { s: seconds }),
      started: () => {
        this.#storedSystem = body.system ?? this.#storedSystem;
        answer.wait("reading");
        this.#tell("begun");
      },
      thinking: (text) => (pace.piece(), answer.wait("thinking"), answer.addThinking(text)),
      text: (text) => (pace.piece(), answer.wait("writing"), answer.add(text)),
      finished: (last) => {
        if (last.finish_reason === "length") answer.notice("hint", "endedByLength");
        this.#end(answer, pace, last);
      },
      stopped: (last) => {
        answer.notice("hint", "stopped");
        this.#end(answer, pace, last);
      },
      failed: (error, begun) => {
        this.#end(answer, pace);
        this.#explain(answer, body, error, begun);
      },
    });
    this.#tell("change");
    this.#exchange.run();
  }

  /** `last`: the last document of the stream, undefined when it broke off. */
  #end(answer, pace, last) {
    this.#exchange = null;
    const tokens = last?.usage.completion_tokens;
    answer.end(last && { tokens, seconds: pace.seconds, rate: pace.rate(tokens), dropped: last.dropped_turns });
    if (last?.stored === false) answer.notice("error", "notStored");
    this.#tell("change");
    this.#tell("turn");
  }

  #explain(answer, body, error, begun) {
    const again = () => h("button", { class: "button small", type: "button", t: "tryAgain", on: { click: () => this.#again(answer, body) } });
    if (error instanceof ConnectionLost) {
      answer.notice("error", begun ? "lostMidway" : "unreachable");
      this.#waitForDevice(answer, body, begun, again);
    } else if (error instanceof ApiError && error.code === "context_length_exceeded") {
      answer.notice("error", "tooLong");
    } else if (error instanceof ApiError && error.code === "engine_gave_up") {
      answer.notice("error", "gaveUp", {}, again());
    } else {
      answer.notice("error", "failed", { message: error.message }, again());
    }
  }

  /** After the connection broke: tells when it is back, and then the person may ask again. */
  async #waitForDevice(answer, body, begun, again) {
    const { signal } = this.#away;
    try {
      await poll();
      if (deviceState() !== "ready") await whenReady(signal);
    } catch {
      return; // another question was asked meanwhile
    }
    answer.notice("hint", begun ? "backMaybeIncomplete" : "backUnsent", {}, again());
  }

  #again(answer, body) {
    if (this.busy) return;
    if (answer.element.nextElementSibling) this.element.append(questionElement(body.prompt)); // something else was asked since
    else answer.element.remove();
    this.#run(body);
  }

  #tell(event) {
    this.dispatchEvent(new Event(event));
  }
}

/** The title that the device will give, so that it does not change once the answer is there. */
function titleOf(prompt) {
  const text = [...prompt.trim().replace(/\s+/g, " ")];
  return text.length <= TITLE_LENGTH ? text.join("") : `${text.slice(0, TITLE_LENGTH - 1).join("")}…`;
}
