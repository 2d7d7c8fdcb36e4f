// Looks after the device as soon as an answer falls silent, so that a pause is shown within a second and costs nothing while text comes.

const TICK_MS = 200;
const SILENT_MS = 250;
const AGAIN_MS = 500;

export class SilenceWatch {
  #timer = 0;
  #heardAt = 0;
  #lookedAt = 0;

  /** `look()` asks the device for its state. */
  constructor(look) {
    this.look = look;
  }

  begin() {
    this.heard();
    this.#timer ||= setInterval(() => this.#tick(), TICK_MS);
  }

  heard() {
    this.#heardAt = performance.now();
  }

  end() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #tick() {
    const now = performance.now();
    if (document.hidden || now - this.#heardAt < SILENT_MS || now - this.#lookedAt < AGAIN_MS) return;
    this.#lookedAt = now;
    this.look();
  }
}
