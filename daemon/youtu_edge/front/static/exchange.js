// One question and its answer. Waits where waiting helps (the model is loading, the queue is full), reports what it gets, and ends
// in exactly one of: finished, stopped, failed.

import { ApiError, ConnectionLost, call } from "./api.js";
import { documents } from "./event_stream.js";

const WAITABLE = new Set([409, 429, 503]); // the session is busy, the queue is full, the model is being loaded
const MAX_WAITS = 60;
const MAX_WAIT_S = 30;
const STOP_GRACE_MS = 1500; // a cancelled stream ends with its figures; one that does not end is aborted

export class Exchange {
  #abort = new AbortController();
  #requestId = null;
  #stopped = false;

  /**
   * `observer` has waiting(error, seconds), started(), thinking(text), text(text), and the three ends: finished(last), stopped(last)
   * and failed(error, begun), where `last` is the last document of the stream, undefined when it was aborted.
   */
  constructor(body, observer) {
    this.body = body;
    this.observer = observer;
  }

  async run() {
    try {
      await this.#read(await this.#open());
    } catch (error) {
      if (this.#stopped) this.observer.stopped();
      else this.observer.failed(error, this.#requestId !== null);
    }
  }

  /** The daemon is asked to end the answer within one step. */
  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    if (!this.#requestId) {
      this.#abort.abort();
      return;
    }
    const cut = () => this.#abort.abort();
    setTimeout(cut, STOP_GRACE_MS);
    call("POST", `v1/requests/${encodeURIComponent(this.#requestId)}/cancel`).catch(cut);
  }

  async #open() {
    for (let waits = 0; ; waits += 1) {
      try {
        return await call("POST", "chat_stream", { body: this.body, signal: this.#abort.signal });
      } catch (error) {
        const seconds = error instanceof ApiError && WAITABLE.has(error.status) && (error.retryAfter ?? (error.status === 409 && 1));
        if (!seconds || seconds > MAX_WAIT_S || waits === MAX_WAITS) throw error; // an exhausted quota is reported, not waited for
        await this.#wait(error, seconds);
      }
    }
  }

  async #wait(error, seconds) {
    for (let left = seconds; left > 0; left -= 1) {
      this.observer.waiting(error, left);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      this.#abort.signal.throwIfAborted();
    }
  }

  async #read(response) {
    this.#requestId = response.headers.get("X-Request-Id");
    this.observer.started();
    for await (const document of documents(response)) {
      if (document.request_id) this.#requestId = document.request_id;
      if (document.thinking) this.observer.thinking(document.thinking);
      if (document.text) this.observer.text(document.text);
      if (document.error) throw new ApiError(200, document.error, null);
      if (document.done) {
        if (this.#stopped) this.observer.stopped(document);
        else this.observer.finished(document);
        return;
      }
    }
    throw new ConnectionLost("the answer broke off");
  }
}
