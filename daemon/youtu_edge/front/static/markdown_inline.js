// The inside of a markdown paragraph: code, emphasis, strike-through, links, formulas. Text in, DOM nodes out, made only of createElement and
// text nodes; HTML in the text stays text, and an image becomes a link, because nothing is loaded from elsewhere.

const LINK = /^!?\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(\s*<?([^\s<>()]*(?:\([^\s()]*\)[^\s<>()]*)*)>?(?:\s+"[^"]*")?\s*\)/;
const ADDRESS = /^(?:https?:\/\/|mailto:)[^\s<>"'`，。；：！？、（）《》【】]*[^\s<>"'`.,;:!?)*_~，。；：！？、（）《》【】]/i;
const SAFE = /^(?:https?:|mailto:)/i;
const MARKS = { "***": ["strong", "em"], "**": ["strong"], __: ["strong"], "*": ["em"], _: ["em"], "~~": ["s"] };
const MATH = /^(?:\$\$[^$]+?\$\$|\$(?![\s$])(?:[^$\\\n]|\\[\s\S])*?(?:(?<![\s\\])\$)(?!\d)|\\\((?:(?!\\\))[\s\S])+?\\\)|\\\[(?:(?!\\\])[\s\S])+?\\\])/;
const MAX_MATH = 2000;
const MAX_DEPTH = 8;

export function inline(text, depth = 0) {
  const nodes = [];
  const unclosed = new Set(); // marks that have no end further on: looking again would make long texts slow
  let plain = "";
  let at = 0;
  const put = (node) => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
    nodes.push(node);
  };
  while (at < text.length) {
    const found = depth < MAX_DEPTH && piece(text, at, depth, unclosed);
    if (found) {
      put(found.node);
      at = found.end;
    } else if (text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] || "")) {
      plain += text[at + 1];
      at += 2;
    } else if (text[at] === "\n") {
      put(document.createElement("br"));
      at += 1;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

/** What begins at `at`, as {node, end}, or null when that is plain text. */
function piece(text, at, depth, unclosed) {
  switch (text[at]) {
    case "$":
    case "\\":
      return formula(text, at);
    case "`":
      return code(text, at, unclosed);
    case "!":
    case "[":
      return link(text, at, depth);
    case "<":
      return address(text, at + 1, 1);
    case "h":
    case "H":
    case "m":
      return /\w/.test(text[at - 1] || "") ? null : address(text, at, 0);
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, depth, unclosed);
    default:
      return null;
  }
}

function code(text, at, unclosed) {
  const ticks = /^`+/.exec(text.slice(at, at + 20))[0];
  if (unclosed.has(ticks)) return null;
  for (let end = text.indexOf(ticks, at + ticks.length); end >= 0; end = text.indexOf(ticks, end)) {
    const run = /^`+/.exec(text.slice(end))[0].length;
    if (run === ticks.length) {
      const inner = text.slice(at + ticks.length, end).replace(/\n/g, " ");
      return { node: wrap(["code"], [document.createTextNode(inner.replace(/^ (.*[^ ].*) $/, "$1"))]), end: end + run };
    }
    end += run;
  }
  unclosed.add(ticks);
  return null;
}

/** $…$ as Pandoc reads it: no space inside of the dollars, no digit after them, so that prices stay prices. */
function formula(text, at) {
  if (text[at] === "$" && /[\w$\\]/.test(text[at - 1] || "")) return null;
  const found = MATH.exec(text.slice(at, at + MAX_MATH));
  return found && { node: mathElement(found[0]), end: at + found[0].length };
}

/** A formula's source, until math.js makes a formula of it. */
export function mathElement(source) {
  const element = wrap(["span"], [document.createTextNode(source)]);
  element.className = "math";
  element.dataset.display = String(/^(?:\$\$|\\\[)/.test(source));
  return element;
}

function link(text, at, depth) {
  const found = LINK.exec(text.slice(at, at + 2000));
  if (!found || !SAFE.test(found[2])) return null;
  return { node: anchor(found[2], inline(found[1] || found[2], Math.max(depth + 1, MAX_DEPTH - 2))), end: at + found[0].length };
}

function address(text, at, brackets) {
  const found = ADDRESS.exec(text.slice(at, at + 2000));
  if (!found || (brackets && text[at + found[0].length] !== ">")) return null;
  return { node: anchor(found[0], [document.createTextNode(found[0])]), end: at + found[0].length + brackets };
}

function anchor(target, children) {
  const element = wrap(["a"], children);
  element.href = target;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
  return element;
}

function emphasis(text, at, depth, unclosed) {
  const run = /^(\*+|_+|~+)/.exec(text.slice(at, at + 4))[0];
  const tags = MARKS[run];
  const inWord = run[0] === "_" && /[\p{L}\p{N}]/u.test(text[at - 1] || "");
  if (!tags || inWord || unclosed.has(run) || /^\s|^$/.test(text.slice(at + run.length, at + run.length + 1))) return null;
  for (let end = text.indexOf(run, at + run.length + 1); end >= 0; end = text.indexOf(run, end + 1)) {
    const after = text[end + run.length] || "";
    if (/\s/.test(text[end - 1]) || text[end - 1] === "\\") continue;
    if (run[0] === "_" && /[\p{L}\p{N}]/u.test(after)) continue;
    if (run.length === 1 && (after === run || text[end - 1] === run)) continue; // half of a longer mark
    return { node: wrap(tags, inline(text.slice(at + run.length, end), depth + 1)), end: end + run.length };
  }
  unclosed.add(run);
  return null;
}

function wrap([tag, ...inner], children) {
  const element = document.createElement(tag);
  element.append(...(inner.length ? [wrap(inner, children)] : children));
  return element;
}
