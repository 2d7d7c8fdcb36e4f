// Style sheets of parts of the page that are loaded when they are needed.

const loaded = new Map(); // path -> promise

/** Resolves once the style sheet applies, or could not be loaded. `path` is relative to the page. */
export function loadStyle(path) {
  if (!loaded.has(path)) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = path;
    loaded.set(path, new Promise((resolve) => (link.onload = link.onerror = resolve)));
    document.head.append(link);
  }
  return loaded.get(path);
}
