// What a library makes of markdown: formulas and coloured code. Each library is loaded when there is something for it; without it (the
// page was built without them, or the device is away) formulas and code stay the text that they are.

const modules = { math: () => import("./math.js"), code: () => import("./code.js") };
const loaded = {}; // name -> module, or null when it cannot be loaded

/** Goes over what markdown_view.js has drawn: `.math` and closed code blocks. */
export function enrich(root) {
  each(root, ".math", "math");
  each(root, "code[data-language]", "code");
}

async function each(root, selector, name) {
  const found = [...root.querySelectorAll(selector)];
  if (root.matches(selector)) found.push(root);
  if (!found.length) return;
  if (!(name in loaded)) loaded[name] = await modules[name]().catch(() => null); // two that come at once share the import
  for (const element of found) loaded[name]?.render(element);
}
