// Requests to the daemon: JSON in and out, errors as ApiError, the API key if the daemon requires one.

import { forgetKey, key, keepKey } from "./key_store.js";

/** The daemon answered with an error. */
export class ApiError extends Error {
  constructor(status, error, retryAfter) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.param = error.param || "";
    this.retryAfter = retryAfter; // seconds, or null when waiting does not help
  }
}

/** There was no answer, or it broke off. */
export class ConnectionLost extends Error {}

let askForKey = async () => null;
let asking = null;
let declined = false; // background requests do not ask again

/** `ask(wasWrong)` resolves to {key, remember}, or null when the person declines. */
export function onUnauthorized(ask) {
  askForKey = ask;
}

/**
 * A successful Response. Throws ApiError, ConnectionLost, or AbortError of the caller's own signal. `quiet`: a background
 * request, which does not ask again for a key that the person declined to enter.
 */
export async function call(method, path, { body, signal, headers = {}, quiet = false } = {}) {
  for (;;) {
    const used = key();
    const response = await send(method, path, body, signal, headers, used);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.status !== 401 || (quiet && declined) || !(await newKey(used))) throw error;
  }
}

export async function callJson(method, path, options) {
  return (await call(method, path, options)).json();
}

async function send(method, path, body, signal, others, used) {
  const headers = { ...others };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (used) headers.Authorization = `Bearer ${used}`;
  try {
    return await fetch(path, { method, headers, signal, cache: "no-store", body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ConnectionLost(error.message);
  }
}

async function errorOf(response) {
  const wait = response.headers.get("Retry-After");
  const document = await response.json().catch(() => ({}));
  return new ApiError(response.status, document.error || {}, wait === null ? null : Number(wait) || 1);
}

/** Whether there is a key other than `rejected` to try now. Requests that fail together ask once. */
async function newKey(rejected) {
  if (key() !== rejected) return true; // one was entered meanwhile
  forgetKey(); // also the remembered one: it is not valid any more
  asking ??= askForKey(rejected !== null).finally(() => (asking = null));
  const entered = await asking;
  declined = !entered;
  if (entered) keepKey(entered.key, entered.remember);
  return Boolean(entered);
}
