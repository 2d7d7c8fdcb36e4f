// The status page: a card for each figure that the device reports, built once and then only updated.

import { onDevice, watchClosely } from "./device.js";
import { h } from "./dom.js";
import { duration, number, size } from "./format.js";
import { t, translate } from "./i18n.js";
import { Rates } from "./rates.js";
import { Sparkline } from "./sparkline.js";

const POINTS = 120; // two minutes at one reading per second

/** A figure with its history. */
class Card {
  #value = h("p", { class: "card-value" });
  #detail = h("p", { class: "card-detail" });

  constructor(key) {
    this.key = key;
    this.spark = new Sparkline(POINTS);
    this.element = h("section", { class: "card" }, h("h2", { t: key }), this.#value, this.#detail, this.spark.element);
  }

  /** `floor`: the smallest range of the sparkline. */
  show(value, floor, text, detail) {
    this.#value.textContent = text;
    this.#detail.textContent = detail;
    this.spark.add(value, floor, t(this.key));
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
    if (shown) this.#rates = new Rates(); // no rate over the time in which the page was hidden
    watchClosely(shown);
  }

  #draw(state, status, seconds) {
    this.#banner.dataset.state = status?.degraded && state === "ready" ? "degraded" : state;
    translate(this.#banner, ...saying(state, status));
    if (!status || state === "offline") return;
    this.#speeds(status.engine, seconds);
    this.#queue(status);
    this.#cache(status.engine);
    this.#memory(status.memory);
    this.#temperatures(status.board.temperatures);
    this.#drawFacts(status);
  }

  #card(key) {
    if (!this.#cards.has(key)) {
      const card = new Card(key);
      this.#cards.set(key, card);
      this.#grid.append(card.element);
    }
    return this.#cards.get(key);
  }

  #speeds({ decode_tokens, prefill_tokens }, seconds) {
    const rates = this.#rates.next({ decode_tokens, prefill_tokens }, seconds);
    const text = (rate) => t("tokensPerSecond", { n: number(rate, rate < 100 ? 1 : 0) });
    this.#card("writing_speed").show(rates.decode_tokens, 5, text(rates.decode_tokens), t("inAll", { n: number(decode_tokens) }));
    this.#card("reading_speed").show(rates.prefill_tokens, 20, text(rates.prefill_tokens), t("inAll", { n: number(prefill_tokens) }));
  }

  #queue({ unfinished_requests: unfinished, engine }) {
    const detail = t("queueDetail", { running: engine.running, waiting: engine.waiting });
    this.#card("queue").show(unfinished, 4, number(unfinished), detail);
  }

  #cache({ pages_used: used, pages_cached: cached, pages_total: total }) {
    const percent = (100 * used) / (total || 1);
    const text = `${number(percent, percent && percent < 10 ? 1 : 0)} %`;
    this.#card("cache").show(used, total || 1, text, t("cacheDetail", { used: number(used), cached: number(cached), total: number(total) }));
  }

  #memory({ front_resident_bytes: front, engine_resident_bytes: engine, engine_plan_bytes: { budget } }) {
    const detail = t(budget ? "memoryOfBudget" : "memoryDetail", { front: size(front), engine: size(engine), budget: size(budget || 0) });
    this.#card("memory").show(front + engine, budget || 2 ** 28, size(front + engine), detail);
  }

  #temperatures(sensors) {
    const zones = Object.entries(sensors);
    if (!zones.length) return;
    const hottest = Math.max(...zones.map(([, celsius]) => celsius));
    const detail = zones.map(([name, celsius]) => `${name} ${number(celsius)} °C`).join(" · ");
    this.#card("temperature").show(hottest, 60, `${number(hottest, 1)} °C`, detail);
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

/** Key and parameters of the summary's text. */
function saying(state, status) {
  if (state !== "ready") return [`stateLong_${state}`];
  if (!status) return ["figuresDenied"];
  return status.degraded ? ["degraded", { how: status.degraded }] : ["stateLong_ready"];
}
