// Numbers, sizes and times as people of the chosen language write them.

import { language, t } from "./i18n.js";

const locale = () => (language() === "zh" ? "zh-CN" : "en-GB");

export function number(value, digits = 0) {
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Bytes in the binary units that the configuration uses. */
export function size(bytes) {
  const mebibytes = bytes / 2 ** 20;
  return mebibytes >= 1000 ? `${number(mebibytes / 1024, 2)} GiB` : `${number(mebibytes)} MiB`;
}

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days) return t("daysHours", { d: days, h: hours % 24 });
  if (hours) return t("hoursMinutes", { h: hours, m: minutes % 60 });
  return minutes ? t("minutesSeconds", { m: minutes, s: Math.floor(seconds % 60) }) : t("seconds", { n: number(seconds) });
}

/** Day and time of a Unix time in seconds; only the time if it is today. */
export function clockTime(seconds) {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit", ...(isToday ? {} : { day: "numeric", month: "short" }) }).format(at);
}

/** today | yesterday | thisWeek | older, of a Unix time in seconds. */
export function ageGroup(seconds, now = new Date()) {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime() / 1000;
  const day = 24 * 3600;
  if (seconds >= midnight) return "today";
  if (seconds >= midnight - day) return "yesterday";
  return seconds >= midnight - 6 * day ? "thisWeek" : "older";
}
