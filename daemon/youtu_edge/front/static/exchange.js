// One question and its answer. The request is durable: when the connection breaks, because the daemon died or the network did, it
// follows the same answer from the last event that it has. Waits where waiting helps (the model is loading, the queue is full),
// reports what it gets, and ends in exactly one of: finished, stopped, failed.

import { ApiError, ConnectionLost, call } from "./api.js";
import { answering, deviceState, onDevice, offDevice, poll, whenReady } from "./device.js";
import { events } from "./event_stream.js";
import { SilenceWatch } from "./silence_watch.js";

const WAITABLE = new Set([409, 429, 503]); // the session is busy, the queue is full, the model is being loaded
const AWAY = new Set(["restarting", "loading", "recycling", "offline"]);
const MAX_WAITS = 60;
const MAX_WAIT_S = 30;
const STOP_GRACE_MS = 1500; // a cancelled stream ends with its figures; one that does not end is aborted

export class Exchange {
  #abort = new AbortController();
  #requestId = null;
  #stopped = false;
  #isDurable = true;
  #last = 0; // number of the last event that came
  #paused = false;
  #isWaiting = false; // for a time to ask again
  #watch = new SilenceWatch(poll);

  /**
   * `key` names the request to the device, also after a reload of the page. `observer` has waiting(error, seconds), started(), paused(),
   * thinking(text), text(text), and the three ends: finished(last), stopped(last) and failed(error, begun), where `last` is the last
   * document of the stream, undefined when it was aborted.
   */
  constructor(body, key, observer) {
    this.body = body;
    this.key = key;
    this.observer = observer;
  }

  async run() {
    const device = (state) => this.#requestId && AWAY.has(state) && this.#pause();
    onDevice(device);
    answering(1);
    try {
      await this.#follow();
    } catch (error) {
      if (this.#stopped) this.observer.stopped();
      else this.observer.failed(error, this.#requestId !== null);
    } finally {
      offDevice(device);
      this.#watch.end();
      answering(-1);
    }
  }

  /** The daemon is asked to end the answer within one step. */
  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    const cut = () => this.#abort.abort();
    if (this.#requestId) this.#cancel();
    else if (this.#isWaiting) cut();
    setTimeout(cut, STOP_GRACE_MS);
  }

  #cancel() {
    call("POST", `v1/requests/${encodeURIComponent(this.#requestId)}/cancel`).catch(() => this.#abort.abort());
  }

  async #follow() {
    for (;;) {
      try {
        return await this.#read(await this.#open());
      } catch (error) {
        if (!(error instanceof ConnectionLost) || !this.#isDurable || this.#stopped) throw error;
        this.#pause();
        await poll();
        if (deviceState() !== "ready") await whenReady(this.#abort.signal);
      }
    }
  }

  async #open() {
    for (let waits = 0; ; waits += 1) {
      try {
        return await call("POST", "chat_stream", { body: this.body, headers: this.#headers(), signal: this.#abort.signal });
      } catch (error) {
        if (error.code === "storage_failed" && this.#isDurable && !this.#requestId) {
          this.#isDurable = false; // the disk has failed: an answer without a journal is better than none
          continue;
        }
        const seconds = error instanceof ApiError && WAITABLE.has(error.status) && (error.retryAfter ?? (error.status === 409 && 1));
        if (!seconds || seconds > MAX_WAIT_S || waits === MAX_WAITS) throw error; // an exhausted quota is reported, not waited for
        await this.#wait(error, seconds);
      }
    }
  }

  #headers() {
    if (!this.#isDurable) return {};
    return this.#last ? { "Idempotency-Key": this.key, "Last-Event-ID": String(this.#last) } : { "Idempotency-Key": this.key };
  }

  async #wait(error, seconds) {
    this.#isWaiting = true;
    for (let left = seconds; left > 0 && !this.#stopped; left -= 1) {
      this.observer.waiting(error, left);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    this.#isWaiting = false;
    if (this.#stopped) throw error;
  }

  async #read(response) {
    this.#requestId = response.headers.get("X-Request-Id");
    if (!this.#last) this.observer.started();
    if (this.#stopped) this.#cancel(); // asked before the device had told its id
    this.#watch.begin();
    for await (const { number, document } of events(response)) {
      this.#last = number;
      this.#watch.heard();
      if (document.request_id) this.#requestId = document.request_id;
      if (document.thinking || document.text) this.#paused = false;
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

  #pause() {
    if (this.#paused || this.#stopped) return;
    this.#paused = true;
    this.observer.paused();
  }
}
