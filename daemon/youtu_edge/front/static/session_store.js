// The conversations that the device keeps, over its REST routes.

import { call, callJson } from "./api.js";

const PAGE = 100;

/** A name that the device accepts and nobody can guess. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

const path = (id, more = "") => `v1/sessions/${encodeURIComponent(id)}${more}`;

/**
 * {sessions: last used first, those used before the session `before` if given, only those with the text `search`; more: whether there
 * may be older ones}.
 */
export async function listSessions({ before = null, search = "" } = {}) {
  const query = new URLSearchParams({ limit: PAGE });
  if (before) query.set("before", before);
  if (search) query.set("search", search);
  const { sessions } = await callJson("GET", `v1/sessions?${query}`, { quiet: !before && !search });
  return { sessions, more: sessions.length === PAGE };
}

export const readSession = (id) => callJson("GET", path(id));
export const changeSession = (id, changes) => callJson("PATCH", path(id), { body: changes });
export const importSession = (id, document) => callJson("PUT", path(id), { body: document });
export const deleteTurn = (id, turn) => callJson("DELETE", path(id, `/turns/${turn}`));
export const deleteSession = (id) => call("DELETE", path(id));
export const clearSession = (id) => call("POST", path(id, "/clear"));
