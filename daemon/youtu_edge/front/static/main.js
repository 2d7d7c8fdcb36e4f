// Starts the page: texts, theme, the parts of the frame around the two pages, and which of them the address names.

import { onUnauthorized } from "./api.js";
import { Chat } from "./chat.js";
import { onDevice, poll, shownState } from "./device.js";
import { askKey } from "./dialogs.js";
import { byId, drawIcons, h } from "./dom.js";
import { LANGUAGES, language, setLanguage, translate, writeTexts } from "./i18n.js";
import { icon } from "./icons.js";
import { preference } from "./preferences.js";
import { listenForShortcuts } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { nextTheme, watchTheme } from "./theme.js";

const THEME_ICONS = { system: "monitor", light: "sun", dark: "moon" };

const sidebar = new Sidebar();
const chat = new Chat(go);
let statusPage = null; // loaded when it is needed

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
  showStatus(onStatus);
  sidebar.hideOverlay();
  if (onStatus) {
    translate(byId("title"), "status");
    document.title = "youtu-edge";
  } else {
    chat.show(page === "chat" && id ? decodeURIComponent(id) : null);
  }
}

async function showStatus(shown) {
  if (shown && !statusPage) {
    const { StatusPage } = await import("./status_page.js");
    statusPage ??= new StatusPage(byId("status-page"));
    shown = !byId("status-page").hidden; // somebody may have left it while it was loaded
  }
  if (statusPage) statusPage.shown = shown;
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

function drawDevice(status) {
  const place = byId("device");
  const state = shownState();
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
  const showShortcuts = async () => (await import("./shortcut_list.js")).showShortcuts();
  byId("shortcuts").addEventListener("click", showShortcuts);
  listenForShortcuts({
    stop: () => chat.stop(),
    question: () => chat.focus(),
    search: () => {
      sidebar.show();
      chat.search();
    },
    new: () => go("/"),
    regenerate: () => chat.regenerate(),
    copy: () => chat.copyAnswer(),
    status: () => go(location.hash === "#/status" ? "/" : "/status"),
    help: showShortcuts,
    settings: () => byId("chat").hidden || chat.openSettings(),
  });
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
  drawDevice(status);
  if ((was === "offline" || was === "locked") && state !== was) chat.refresh();
  was = state;
});
route();
chat.refresh();
poll();
