// How fast an answer came. The clock starts with its first piece, so that prompt processing does not count.

export class Pace {
  #asked = performance.now();
  #first = null;
  #last = null;

  piece() {
    this.#last = performance.now();
    this.#first ??= this.#last;
  }

  /** Seconds from the question to the end of the answer. */
  get seconds() {
    return ((this.#last ?? performance.now()) - this.#asked) / 1000;
  }

  /** Tokens a second after the first one, or null when there is too little to tell. */
  rate(tokens) {
    const seconds = this.#first === null ? 0 : (this.#last - this.#first) / 1000;
    return tokens > 1 && seconds > 0.05 ? (tokens - 1) / seconds : null;
  }
}
