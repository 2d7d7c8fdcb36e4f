// One conversation: its messages on the page and at most one answer under way, which goes on while another conversation is shown.
// Events: "change" (busy or title changed), "turn" (an exchange ended), "grow" (something was added).

import { ApiError, ConnectionLost } from "./api.js";
import { deviceState, poll, whenReady } from "./device.js";
import { h } from "./dom.js";
import { Exchange } from "./exchange.js";
import { Answer, questionElement } from "./message.js";
import { Pace } from "./pace.js";
import { changeSession, readSession } from "./session_store.js";

const TITLE_LENGTH = 60;

export class Conversation extends EventTarget {
  #exchange = null;
  #storedSystem = ""; // as the device has it
  #away = new AbortController(); // ends the wait for a device that is gone

  /** `system` may be set until the first question takes it along. */
  constructor(id) {
    super();
    this.id = id;
    this.title = "";
    this.system = "";
    this.element = h("div", { class: "messages" });
  }

  get busy() {
    return this.#exchange !== null;
  }

  get empty() {
    return !this.element.childElementCount;
  }

  /** Fetches what the device has. Throws ApiError or ConnectionLost. */
  async load() {
    this.#show(await readSession(this.id));
  }

  #show({ title, system, messages }) {
    this.title = title || "";
    this.system = this.#storedSystem = system || "";
    const draw = (message) => (message.role === "user" ? questionElement(message.content) : Answer.of(message).element);
    this.element.replaceChildren(...messages.filter(({ role }) => role !== "system").map(draw));
    this.#tell("change");
  }

  /** `sampling` holds the request's fields that the person set; `kept`: whether the device keeps the conversation. */
  ask(prompt, sampling, kept) {
    this.#away.abort();
    this.#away = new AbortController();
    this.title ||= titleOf(prompt);
    const body = { ...sampling, prompt };
    if (kept) body.session_id = this.id;
    if (kept ? this.system !== this.#storedSystem : this.system) body.system = this.system;
    this.element.append(questionElement(prompt));
    this.#run(body);
  }

  stop() {
    this.#exchange?.stop();
  }

  /** A new system prompt; the next question takes it along, and the device is told at once where it knows the conversation. */
  async changeSystem(system, kept) {
    this.system = system;
    if (!kept || this.empty || this.busy) return;
    await changeSession(this.id, { system });
    this.#storedSystem = system;
  }

  clear() {
    this.stop();
    this.#away.abort();
    this.element.replaceChildren();
  }

  #run(body) {
    const answer = new Answer();
    const pace = new Pace();
    this.element.append(answer.element);
    answer.wait("sending");
    this.#exchange = new Exchange(body, {
      waiting: (error, seconds) => answer.wait(error.status === 429 ? "waitBusy" : "waitLoading", { s: seconds }),
      started: () => {
        this.#storedSystem = body.system ?? this.#storedSystem;
        answer.wait("reading");
      },
      thinking: (text) => (pace.piece(), answer.wait("thinking"), answer.addThinking(text), this.#tell("grow")),
      text: (text) => (pace.piece(), answer.wait("writing"), answer.add(text), this.#tell("grow")),
      finished: (reason, usage) => {
        this.#end(answer, pace, usage);
        if (reason === "length") answer.notice("hint", "endedByLength");
      },
      stopped: (usage) => {
        this.#end(answer, pace, usage);
        answer.notice("hint", "stopped");
      },
      failed: (error, begun) => {
        this.#end(answer, pace);
        this.#explain(answer, body, error, begun);
      },
    });
    this.#tell("change");
    this.#tell("grow");
    this.#exchange.run();
  }

  #end(answer, pace, usage) {
    this.#exchange = null;
    const tokens = usage?.completion_tokens;
    answer.end(usage ? { tokens, seconds: pace.seconds, rate: pace.rate(tokens) } : undefined);
    this.#tell("change");
    this.#tell("turn");
    this.#tell("grow");
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
    this.#tell("grow");
  }

  /** After the connection broke: what the device has kept replaces what arrived here, and the person may ask again. */
  async #waitForDevice(answer, body, begun, again) {
    const { signal } = this.#away;
    try {
      await poll();
      if (deviceState() !== "ready") await whenReady(signal);
    } catch {
      return; // another question was asked meanwhile
    }
    answer.notice("hint", begun ? "backMaybeIncomplete" : "backUnsent", {}, again());
    this.#tell("grow");
  }

  #again(answer, body) {
    answer.element.remove();
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
