// Keyboard shortcuts; shortcut_list.js has the overlay that lists them.

const withAlt = { KeyN: "new", KeyR: "regenerate", KeyC: "copy", KeyS: "status", Comma: "settings" };

/** `actions`: stop, question, search, new, regenerate, copy, status, settings, help. */
export function listenForShortcuts(actions) {
  addEventListener("keydown", (event) => {
    const name = actionOf(event);
    if (!name) return;
    if (name !== "stop") event.preventDefault();
    actions[name]();
  });
}

/** `event.code` and not `key` where Alt makes another character of it. */
function actionOf({ key, code, altKey, ctrlKey, metaKey, shiftKey, isComposing, target }) {
  if (isComposing || document.querySelector("dialog[open]")) return null;
  if (key === "Escape") return "stop";
  if ((ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k") return "search";
  if (altKey && !ctrlKey && !metaKey && !shiftKey) return withAlt[code] ?? null;
  if (ctrlKey || metaKey || altKey || target.closest?.("input, textarea, select")) return null;
  return { "/": "question", "?": "help" }[key] ?? null;
}
