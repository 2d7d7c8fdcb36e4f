// The status page: a card for each figure that the device tells, drawn once and then only filled.

import { onDevice, watchClosely } from "./device.js";
import { h } from "./dom.js";
import { duration, number, size } from "./format.js";
import { t, translate } from "./i18n.js";
import { Rates } from "./rates.js";
import { Sparkline } from "./sparkline.js";

const POINTS = 120; // two minutes at a look each second

/** A figure with its history. */
class Card {
  #value = h("p", { class: "card-value" });
  #detail = h("p", { class: "card-detail" });

  constructor(key, floor) {
    this.key = key;
    this.spark = new Sparkline(POINTS, floor);
    this.element = h("section", { class: "card" }, h("h2", { t: key }), this.#value, this.#detail, this.spark.element);
  }

  show(value, text, detail = "") {
    this.#value.textContent = text;
    this.#detail.textContent = detail;
    this.spark.add(value, t(this.key));
  }
}

export class StatusPage {
  #rates = new Rates();
  #facts = h("dl", { class: "facts" });
  #banner = h("p", { class: "status-banner", role: "status" });
  #grid = h("div", { class: "cards" });
  #cards = new Map();
  #shown = false;

  constructor(element) {
    element.append(h("div", { class: "status-inside" }, this.#banner, this.#grid, this.#facts));
    onDevice((state, status, seconds) => this.#shown && this.#draw(state, status, seconds));
  }

  set shown(shown) {
    this.#shown = shown;
    if (shown) this.#rates = new Rates(); // no rate over the time in which nobody looked
    watchClosely(shown);
  }

  #draw(state, status, seconds) {
    this.#banner.dataset.state = state;
    translate(this.#banner, status || state !== "ready" ? `stateLong_${state}` : "figuresDenied");
    if (!status || state === "offline") return;
    this.#speeds(status.engine, seconds);
    this.#queue(status);
    this.#cache(status.engine);
    this.#memory(status.memory);
    this.#temperatures(status.temperatures || []);
    this.#drawFacts(status);
  }

  #card(key, floor) {
    if (!this.#cards.has(key)) {
      const card = new Card(key, floor);
      this.#cards.set(key, card);
      this.#grid.append(card.element);
    }
    return this.#cards.get(key);
  }

  #speeds({ decode_tokens, prefill_tokens }, seconds) {
    const rates = this.#rates.next({ decode_tokens, prefill_tokens }, seconds);
    const text = (rate) => t("tokensPerSecond", { n: number(rate, rate < 100 ? 1 : 0) });
    this.#card("writing_speed", 5).show(rates.decode_tokens, text(rates.decode_tokens), t("inAll", { n: number(decode_tokens) }));
    this.#card("reading_speed", 20).show(rates.prefill_tokens, text(rates.prefill_tokens), t("inAll", { n: number(prefill_tokens) }));
  }

  #queue({ unfinished_requests: unfinished, engine }) {
    const detail = t("queueDetail", { running: engine.running, waiting: engine.waiting });
    this.#card("queue", 4).show(unfinished, number(unfinished), detail);
  }

  #cache({ pages_used: used, pages_cached: cached, pages_total: total }) {
    if (!total) return;
    const percent = number((100 * used) / total);
    this.#card("cache", total).show(used, `${percent} %`, t("cacheDetail", { used: number(used), cached: number(cached), total: number(total) }));
  }

  #memory({ front_resident_bytes: front, engine_resident_bytes: engine }) {
    this.#card("memory", 2 ** 28).show(front + engine, size(front + engine), t("memoryDetail", { front: size(front), engine: size(engine) }));
  }

  #temperatures(zones) {
    if (!zones.length) return;
    const hottest = Math.max(...zones.map(({ celsius }) => celsius));
    const detail = zones.map(({ name, celsius }) => `${name} ${number(celsius)} °C`).join(" · ");
    this.#card("temperature", 60).show(hottest, `${number(hottest, 1)} °C`, detail);
  }

  #drawFacts({ version, uptime_s, restarts, model }) {
    const facts = [["fact_version", version], ["fact_uptime", duration(uptime_s)], ["fact_restarts", number(restarts)]];
    if (model) {
      facts.unshift(["fact_model", model.name], ["fact_context", t("tokens", { n: number(model.context_length) })]);
      facts.push(["fact_load", t("seconds", { n: number(model.load_seconds, 1) })]);
    }
    this.#facts.replaceChildren(...facts.map(([key, value]) => h("div", {}, h("dt", { t: key }), h("dd", {}, value))));
  }
}
