// Counters to rates: how much each grew per second between two readings. A counter that decreased has been reset.

export class Rates {
  #last = null;

  /** `counters`: name -> value at `seconds`. Returns name -> rate, all 0 at the first look. */
  next(counters, seconds) {
    const last = this.#last;
    this.#last = { counters, seconds };
    const passed = last ? seconds - last.seconds : 0;
    const rate = ([name, value]) => [name, passed > 0 ? Math.max(0, value - last.counters[name]) / passed : 0];
    return Object.fromEntries(Object.entries(counters).map(rate));
  }
}
