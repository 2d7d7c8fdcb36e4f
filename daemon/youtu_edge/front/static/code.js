// Coloured code by highlight.js: <code data-language="python">. The library's result is turned into elements here, not into markup.

import hljs from "./lib/highlight.js";

const MAX_CHARACTERS = 50000;
const ALIASES = {
  "c++": "cpp", cc: "cpp", h: "c", hpp: "cpp", cs: "csharp", "c#": "csharp", golang: "go", html: "xml", svg: "xml", js: "javascript", jsx: "javascript",
  mjs: "javascript", jsonc: "json", kt: "kotlin", make: "makefile", md: "markdown", patch: "diff", py: "python", python3: "python", rb: "ruby", rs: "rust",
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", toml: "ini", ts: "typescript", tsx: "typescript", yml: "yaml",
};
const LANGUAGES = new Set([
  "bash", "c", "cpp", "csharp", "css", "diff", "go", "ini", "java", "javascript", "json", "kotlin", "lua", "makefile", "markdown", "php", "python",
  "ruby", "rust", "sql", "swift", "typescript", "xml", "yaml",
]);
const loading = new Map(); // language -> promise of whether it is there

/** The interface of highlight.js' emitters, which builds elements. */
class ElementEmitter {
  constructor() {
    this.root = document.createDocumentFragment();
    this.open = [this.root];
  }

  addText(text) {
    if (text) this.open.at(-1).append(text);
  }

  startScope(name) {
    const element = document.createElement("span");
    element.className = name.split(".").map((part) => `hl-${part}`).join(" ");
    this.open.at(-1).append(element);
    this.open.push(element);
  }

  endScope() {
    if (this.open.length > 1) this.open.pop();
  }

  openNode(name) {
    this.startScope(name);
  }

  closeNode() {
    this.endScope();
  }

  __addSublanguage(emitter) {
    this.open.at(-1).append(emitter.root);
  }

  finalize() {
    this.open = [this.root];
  }

  toHTML() {
    return "";
  }
}

hljs.configure({ __emitter: ElementEmitter });

export async function render(element) {
  const name = element.dataset.language.toLowerCase();
  const language = ALIASES[name] ?? name;
  const text = element.textContent;
  if (!LANGUAGES.has(language) || text.length > MAX_CHARACTERS || element.firstElementChild) return;
  if (!loading.has(language)) loading.set(language, load(language));
  if (!(await loading.get(language)) || element.textContent !== text) return;
  const { root } = hljs.highlight(text, { language, ignoreIllegals: true })._emitter;
  if (root.textContent === text) element.replaceChildren(root); // a grammar that fails must not lose a character
}

async function load(language) {
  try {
    const { default: grammar } = await import(`./lib/highlight-${language}.js`);
    hljs.registerLanguage(language, grammar);
    return true;
  } catch {
    return false;
  }
}
