// Requests to the daemon: JSON in and out, errors as ApiError, the API key if the daemon requires one.

const KEY = "youtu-edge-key"; // sessionStorage: gone with the tab

/** The daemon answered with an error. */
export class ApiError extends Error {
  constructor(status, error, retryAfter) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.retryAfter = retryAfter; // seconds, or null when waiting does not help
  }
}

/** There was no answer, or it broke off. */
export class ConnectionLost extends Error {}

let askForKey = async () => null;
let asking = null;
let declined = false; // background requests do not ask again

/** `ask(wasWrong)` resolves to a key, or null when the person declines. */
export function onUnauthorized(ask) {
  askForKey = ask;
}

/**
 * A successful Response. Throws ApiError, ConnectionLost, or AbortError of the caller's own signal. `quiet`: a background
 * request, which does not ask again for a key that the person declined to enter.
 */
export async function call(method, path, { body, signal, quiet = false } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const response = await send(method, path, body, signal, key);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.status !== 401 || (quiet && declined) || !(await newKey(key))) throw error;
  }
}

export async function callJson(method, path, options) {
  return (await call(method, path, options)).json();
}

async function send(method, path, body, signal, key) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers.Authorization = `Bearer ${key}`;
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
  if (sessionStorage.getItem(KEY) !== rejected) return true; // one was entered meanwhile
  asking ??= askForKey(rejected !== null).finally(() => (asking = null));
  const key = await asking;
  declined = !key;
  if (key) sessionStorage.setItem(KEY, key);
  return Boolean(key);
}
