// The conversations that the device keeps, over its REST routes.

import { call, callJson } from "./api.js";

const PAGE = 100;

/** A name that the device accepts and nobody can guess. */
export function newSessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

const path = (id, more = "") => `v1/sessions/${encodeURIComponent(id)}${more}`;

/** {sessions: last used first, those used before the session `before` if given; more: whether there may be older ones}. */
export async function listSessions(before = null) {
  const after = before ? `&before=${encodeURIComponent(before)}` : "";
  const { sessions } = await callJson("GET", `v1/sessions?limit=${PAGE}${after}`, { quiet: !before });
  return { sessions, more: sessions.length === PAGE };
}

export const readSession = (id) => callJson("GET", path(id));
export const changeSession = (id, changes) => callJson("PATCH", path(id), { body: changes });
export const deleteSession = (id) => call("DELETE", path(id));
export const clearSession = (id) => call("POST", path(id, "/clear"));

/** Saves the session as a file. A link would do, but a link carries no API key. */
export async function exportSession(id) {
  const response = await call("GET", path(id, "/export"));
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = `conversation-${id}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
