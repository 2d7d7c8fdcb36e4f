// The questions of this tab that are not answered yet, so that a reload finds their answers again: the device knows the request by its
// key, and sends the same events for the same body.

const KEY = "youtu-edge-asked"; // sessionStorage: another tab has its own

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) || "{}");
  } catch {
    return {};
  }
}

function write(asked) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(asked));
  } catch {
    // Storage is blocked or full: a reload then shows what the device has stored.
  }
}

/** `asked`: {prompt, body, key, branches, messages}, the last one the number of messages before it. */
export function keepAsked(session, asked) {
  write({ ...read(), [session]: asked });
}

export const lastAsked = (session) => read()[session] ?? null;

export function forgetAsked(session) {
  const { [session]: _, ...others } = read();
  write(others);
}
