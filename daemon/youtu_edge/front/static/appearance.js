// Runs before the first paint, hence a classic script: otherwise a dark page would flash white.
(() => {
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem("youtu-edge") || "{}") || {};
  } catch {
    // Storage is blocked, or holds an invalid value: use the defaults.
  }
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = stored.theme === "dark" || (stored.theme !== "light" && dark) ? "dark" : "light";
  root.dataset.sidebar = stored.sidebar === "closed" ? "closed" : "open";
  root.lang = stored.language || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
})();
