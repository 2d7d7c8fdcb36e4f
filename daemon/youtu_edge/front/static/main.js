// Starts the page: texts, theme, the parts of the frame around the two pages, and which of them the address names.

import { onUnauthorized } from "./api.js";
import { Chat } from "./chat.js";
import { onDevice, poll } from "./device.js";
import { askKey } from "./dialogs.js";
import { byId, drawIcons, h } from "./dom.js";
import { LANGUAGES, language, setLanguage, translate, writeTexts } from "./i18n.js";
import { icon } from "./icons.js";
import { preference } from "./preferences.js";
import { Sidebar } from "./sidebar.js";
import { StatusPage } from "./status_page.js";
import { nextTheme, watchTheme } from "./theme.js";

const THEME_ICONS = { system: "monitor", light: "sun", dark: "moon" };

const sidebar = new Sidebar();
const chat = new Chat(go);
const statusPage = new StatusPage(byId("status-page"));

function go(path) {
  if (location.hash === `#${path}`) route();
  else location.hash = path;
}

function route() {
  const [, page, id] = location.hash.replace(/^#/, "").split("/");
  const onStatus = page === "status";
  byId("status-page").hidden = !onStatus;
  byId("chat").hidden = onStatus;
  byId("settings-open").hidden = onStatus;
  byId("skip-link").hidden = onStatus;
  byId("status-link").setAttribute("aria-current", onStatus ? "page" : "false");
  chat.shown = !onStatus;
  statusPage.shown = onStatus;
  sidebar.hideOverlay();
  if (onStatus) {
    translate(byId("title"), "status");
    document.title = "youtu-edge";
  } else {
    chat.show(page === "chat" && id ? decodeURIComponent(id) : null);
  }
}

function drawTheme(theme) {
  const button = byId("theme");
  button.replaceChildren(icon(THEME_ICONS[theme]), h("span", { t: `theme_${theme}` }));
}

function drawLanguage() {
  const other = Object.keys(LANGUAGES).find((code) => code !== language());
  byId("language").lang = other;
  byId("language").querySelector("span").textContent = LANGUAGES[other];
}

function drawDevice(state, status) {
  const place = byId("device");
  place.dataset.state = state;
  const name = state === "ready" && status?.model?.name;
  translate(place, name ? "plain" : `state_${state}`, { text: name });
}

function listen() {
  byId("skip-link").addEventListener("click", (event) => {
    event.preventDefault(); // the address names the page
    byId("question").focus();
  });
  byId("new-chat").addEventListener("click", () => go("/"));
  byId("theme").addEventListener("click", () => drawTheme(nextTheme()));
  byId("language").addEventListener("click", () => {
    setLanguage(byId("language").lang);
    drawLanguage();
  });
  addEventListener("hashchange", route);
  document.addEventListener("visibilitychange", () => document.hidden || chat.refresh()); // other clients may have changed the list
  addEventListener("keydown", (event) => event.key === "Escape" && !document.querySelector("dialog[open]") && chat.stop());
}

let was = "connecting";
onUnauthorized(askKey);
drawIcons();
drawTheme(preference("theme"));
drawLanguage();
writeTexts();
watchTheme();
listen();
onDevice((state, status) => {
  drawDevice(state, status);
  if ((was === "offline" || was === "locked") && state !== was) chat.refresh();
  was = state;
});
route();
chat.refresh();
poll();
