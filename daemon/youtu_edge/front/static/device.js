// The daemon's state: polls /v1/status while the page is visible, and notifies listeners.

import { ApiError, callJson } from "./api.js";

const SLOW_MS = 10000; // while the engine is ready and the status page is not shown
const TIMEOUT_MS = 8000;
const FAST_MS = 1000; // on the status page, and until the engine is ready

let state = "connecting"; // connecting | ready | loading | restarting | draining | gave_up | stopped | offline | locked
let latest = null;
let watched = false;
let timer = 0;
let polling = null; // the look that is under way
const listeners = new Set();
let answers = 0;

export const deviceState = () => state;

/** The context length of the model in tokens; null while it is not known. */
export const contextLength = () => latest?.model?.context_length ?? null;

/** Count an answer that begins (1) or ends (-1). */
export function answering(change) {
  answers += change;
  tell();
}

/** The state as people see it: while an answer waits for the device, it is paused. */
export const shownState = () => (answers && ["restarting", "offline"].includes(state) ? "paused" : state);

/** `listener(state, status, seconds)`: `status` is the document of /v1/status, or null while there is none. */
export function onDevice(listener) {
  listeners.add(listener);
  listener(state, latest, performance.now() / 1000);
}

export function offDevice(listener) {
  listeners.delete(listener);
}

/** Poll every second, for the status page. */
export function watchClosely(on) {
  watched = on;
  if (on) poll();
}

/** Poll now, for example because a request has just failed. */
export function poll() {
  polling ??= look().finally(() => (polling = null));
  return polling;
}

async function look() {
  clearTimeout(timer);
  try {
    [state, latest] = await ask();
  } catch (error) {
    if (!(error instanceof ApiError)) state = "offline";
    else if (error.status === 401) state = "locked";
  }
  tell();
  if (!document.hidden) timer = setTimeout(poll, state === "ready" && !watched ? SLOW_MS : FAST_MS);
}

function tell() {
  for (const listener of [...listeners]) listener(state, latest, performance.now() / 1000);
}

async function ask() {
  const options = { signal: AbortSignal.timeout(TIMEOUT_MS) };
  try {
    const status = await callJson("GET", "v1/status", { ...options, quiet: true });
    return [status.state, status];
  } catch (error) {
    if (error.status !== 403) throw error;
  }
  const answer = await fetch("readyz", options); // a key with only the scope "chat" may not read /v1/status; /readyz is public
  const isAway = !answer.ok && /^the (engine|daemon) /.test(await answer.text()); // a busy board does serve
  return [isAway ? "loading" : "ready", null];
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else poll();
});
addEventListener("online", poll);
addEventListener("offline", poll);

/** Resolves when requests are served again. */
export function whenReady(signal) {
  return new Promise((resolve, reject) => {
    const listener = (now) => {
      if (now !== "ready" || signal.aborted) return;
      listeners.delete(listener);
      resolve();
    };
    signal.addEventListener("abort", () => {
      listeners.delete(listener);
      reject(signal.reason);
    });
    listeners.add(listener);
    poll();
  });
}
