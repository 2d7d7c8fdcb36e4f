// The status page: a card for each figure that the device reports, built once and then only updated; facts and events beneath.

import { onDevice, watchClosely } from "./device.js";
import { h } from "./dom.js";
import { clockTime, duration, number, size } from "./format.js";
import { t, translate } from "./i18n.js";
import { isReachable, showQr } from "./qr_dialog.js";
import { Rates } from "./rates.js";
import { Sparkline } from "./sparkline.js";
import { strings } from "./strings.js";
import { statusStrings } from "./strings_status.js";
import { loadStyle } from "./style_sheet.js";

const CARD_WIDTH = 232; // with the gap beside it
const POINTS = 120; // two minutes at one reading per second

Object.assign(strings, statusStrings);
await loadStyle("ui/status.css");

/** A figure, with its history where `hasHistory`. */
class Card {
  #value = h("p", { class: "card-value" });
  #detail = h("p", { class: "card-detail" });

  constructor(key, hasHistory) {
    this.key = key;
    this.spark = hasHistory ? new Sparkline(POINTS) : null;
    this.element = h("section", { class: "card" }, h("h2", { t: key }), this.#value, this.#detail, this.spark?.element);
  }

  show(text, detail) {
    this.#value.textContent = text;
    this.#detail.textContent = detail;
    return this;
  }

  /** `floor`: the smallest range of the curve; `unit` writes the upper end of its axis. */
  plot(value, floor, unit) {
    this.spark.add(value, floor, t(this.key), unit);
  }
}

export class StatusPage {
  #rates = new Rates();
  #facts = h("dl", { class: "facts" });
  #events = h("ol", { class: "events" });
  #banner = h("p", { class: "status-banner", role: "status" });
  #grid = h("div", { class: "cards" });
  #cards = new Map();
  #shown = false;
  #last = null;

  constructor(element) {
    const events = h("section", { class: "event-list" }, h("h2", { t: "events" }), this.#events);
    const elsewhere = isReachable() && h("button", { class: "button", type: "button", icon: "qr", on: { click: showQr } }, h("span", { t: "openElsewhere" }));
    const about = h("section", { class: "about" }, this.#facts, elsewhere);
    element.append(h("div", { class: "status-inside" }, this.#banner, this.#grid, h("div", { class: "status-foot" }, about, events)));
    new ResizeObserver(() => this.#arrange()).observe(this.#grid);
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
    if (!status || state === "offline" || status === this.#last) return;
    this.#last = status;
    this.#speeds(status.engine, seconds);
    this.#firstText(status.requests);
    this.#queue(status);
    this.#cache(status.engine);
    this.#memory(status.memory);
    this.#requests(status.requests);
    this.#disk(status.storage);
    this.#temperatures(status.board);
    this.#clock(status.board);
    this.#drawFacts(status);
    this.#drawEvents(status.events);
  }

  /** As many columns as fit, or up to two fewer where the last row is fuller with them. */
  #arrange() {
    const most = Math.max(1, Math.floor((this.#grid.clientWidth + 16) / CARD_WIDTH));
    const free = (columns) => (columns - (this.#cards.size % columns)) % columns;
    const candidates = [most, most - 1, most - 2].filter((columns) => columns > 0 && columns > most / 2);
    const best = candidates.reduce((left, right) => (free(right) < free(left) ? right : left));
    this.#grid.style.setProperty("--columns", best);
  }

  #card(key, hasHistory = true) {
    if (!this.#cards.has(key)) {
      const card = new Card(key, hasHistory);
      this.#cards.set(key, card);
      this.#grid.append(card.element);
      this.#arrange();
    }
    return this.#cards.get(key);
  }

  #speeds({ decode_tokens, prefill_tokens }, seconds) {
    const rates = this.#rates.next({ decode_tokens, prefill_tokens }, seconds);
    const text = (rate) => t("tokensPerSecond", { n: number(rate, rate < 100 ? 1 : 0) });
    const show = (key, rate, floor, all) => this.#card(key).show(text(rate), t("inAll", { n: number(all) })).plot(rate, floor, text);
    show("writing_speed", rates.decode_tokens, 5, decode_tokens);
    show("reading_speed", rates.prefill_tokens, 20, prefill_tokens);
  }

  #firstText({ first_texts: count, first_text_median_s: median, first_text_p90_s: p90 }) {
    const seconds = (value) => t("seconds", { n: number(value, value < 10 ? 2 : 1) });
    const detail = count ? t("firstTextDetail", { n: number(count), p90: number(p90, 2) }) : t("noRequests");
    this.#card("first_text").show(count ? seconds(median) : "–", detail).plot(median ?? 0, 1, seconds);
  }

  #queue({ unfinished_requests: unfinished, engine }) {
    const detail = t("queueDetail", { running: engine.running, waiting: engine.waiting });
    this.#card("queue").show(number(unfinished), detail).plot(unfinished, 4, (value) => number(value));
  }

  #cache({ pages_used: used, pages_cached: cached, pages_total: total }) {
    const percent = (100 * used) / (total || 1);
    const text = `${number(percent, percent && percent < 10 ? 1 : 0)} %`;
    const detail = t("cacheDetail", { used: number(used), cached: number(cached), total: number(total) });
    this.#card("cache").show(text, detail).plot(percent, 100, (value) => `${number(value)} %`);
  }

  #memory({ front_resident_bytes: front, engine_resident_bytes: engine, engine_plan_bytes: { budget } }) {
    const detail = t(budget ? "memoryOfBudget" : "memoryDetail", { front: size(front), engine: size(engine), budget: size(budget || 0) });
    this.#card("memory").show(size(front + engine), detail).plot(front + engine, budget || 2 ** 28, size);
  }

  #requests({ ended, failed, refused }) {
    this.#card("requests", false).show(number(ended), t("requestsDetail", { failed: number(failed), refused: number(refused) }));
  }

  #disk({ conversations, disk }) {
    const where = conversations === "memory" ? t("diskMemory") : "";
    if (!disk) this.#card("disk", false).show("–", where || t("diskMemory"));
    else this.#card("disk", false).show(t("diskFree", { n: size(disk.free_bytes) }), where || t("diskDetail", { total: size(disk.total_bytes), used: size(disk.used_bytes) }));
  }

  #temperatures({ temperatures }) {
    const zones = Object.entries(temperatures);
    if (!zones.length) return;
    const hottest = Math.max(...zones.map(([, celsius]) => celsius));
    const detail = zones.map(([name, celsius]) => `${name} ${number(celsius)} °C`).join(" · ");
    this.#card("temperature").show(`${number(hottest, 1)} °C`, detail).plot(hottest, 90, (value) => `${number(value)} °C`);
  }

  #clock({ frequency_mhz: frequency, frequency_limit_mhz: limit, throttled, max_sequences: batch }) {
    if (!frequency) return;
    const parts = [limit && t("clockDetail", { limit: number(limit) }), throttled && t("throttled"), batch !== null && t("batchLimited", { n: number(batch) })];
    const card = this.#card("clock").show(t("megahertz", { n: number(frequency) }), parts.filter(Boolean).join(" · "));
    card.element.dataset.warns = String(Boolean(throttled) || batch !== null);
    card.plot(frequency, limit || frequency, (value) => t("megahertz", { n: number(value) }));
  }

  #drawFacts({ version, uptime_s, restarts, model, device, package: served }) {
    const facts = [["fact_version", version], ["fact_uptime", duration(uptime_s)], ["fact_restarts", number(restarts)]];
    if (model) {
      facts.unshift(["fact_model", model.name], ["fact_context", t("tokens", { n: number(model.context_length) })]);
      facts.push(["fact_load", t("seconds", { n: number(model.load_seconds, 1) })]);
    }
    if (device) facts.push(["fact_device", device.note && device.name === "cuda" ? device.note : device.name.toUpperCase()]);
    if (served.version) facts.splice(1, 0, ["fact_package", served.on_trial ? t("onTrial", served) : served.version]);
    this.#facts.replaceChildren(...facts.map(([key, value]) => h("div", {}, h("dt", { t: key }), h("dd", {}, value))));
  }

  #drawEvents(events) {
    const row = ({ at, kind, detail = "" }) => h("li", {}, h("time", { datetime: new Date(at * 1000).toISOString() }, clockTime(at)), h("span", { t: [`event_${kind}`, { detail }] }));
    const rows = events.slice(0, 8).filter(({ kind }) => `event_${kind}` in strings).map(row);
    this.#events.replaceChildren(...(rows.length ? rows : [h("li", { t: "noEvents" })]));
  }
}

/** Key and parameters of the summary's text. */
function saying(state, status) {
  if (state !== "ready") return [`stateLong_${state}`];
  if (!status) return ["figuresDenied"];
  return status.degraded ? ["degraded", { how: status.degraded }] : ["stateLong_ready"];
}
