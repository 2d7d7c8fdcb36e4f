// Draws growing markdown: only the changed blocks of a streamed answer are redrawn.

import { h } from "./dom.js";
import { copyButton } from "./copy_button.js";
import { blocksOf } from "./markdown_blocks.js";
import { inline, mathElement } from "./markdown_inline.js";
import { enrich } from "./rich_text.js";

export class MarkdownView {
  #drawn = []; // [{block, node}], in the order of the element's children

  constructor(className = "prose") {
    this.element = h("div", { class: className });
  }

  update(text) {
    const blocks = blocksOf(text);
    blocks.forEach((block, index) => this.#put(index, block));
    for (const { node } of this.#drawn.splice(blocks.length)) node.remove();
  }

  #put(index, block) {
    const old = this.#drawn[index];
    if (old && old.block.kind === block.kind && old.block.source === block.source) return;
    if (old && old.block.kind === "code" && block.kind === "code" && old.block.language === block.language) {
      putCode(old.node.querySelector("code"), block); // keeps the scroll position and the focus on its button
      this.#drawn[index] = { block, node: old.node };
      enrich(old.node);
      return;
    }
    const node = draw(block);
    enrich(node);
    if (old) old.node.replaceWith(node);
    else this.element.append(node);
    this.#drawn[index] = { block, node };
  }
}

const drawers = {
  heading: (block) => h(`h${Math.min(block.level + 2, 6)}`, { class: `heading-${block.level}` }, inline(block.text)), // h1 and h2 belong to the page
  paragraph: (block) => h("p", {}, inline(block.text)),
  rule: () => h("hr"),
  quote: (block) => h("blockquote", {}, block.blocks.map(draw)),
  list: (block) => h(block.ordered ? "ol" : "ul", { start: block.start === 1 ? null : block.start }, block.items.map(drawItem)),
  code: drawCode,
  math: (block) => h("p", { class: "math-block", tabindex: 0 }, mathElement(block.text)),
  table: drawTable,
};

function draw(block) {
  return drawers[block.kind](block);
}

function drawItem({ blocks, done }) {
  const mark = done !== null && h("span", { class: "task-mark", role: "img", label: done ? "taskDone" : "taskOpen", "data-done": String(done) });
  const attributes = { class: mark ? "task" : null };
  const [first, ...rest] = blocks;
  if (first && first.kind === "paragraph") return h("li", attributes, mark, inline(first.text), rest.map(draw)); // a tight list, as most models intend
  return h("li", attributes, mark, blocks.map(draw));
}

function drawCode(block) {
  const code = h("code");
  putCode(code, block);
  const head = h("figcaption", {}, h("span", {}, block.language || ""), copyButton(() => code.textContent));
  return h("figure", { class: "code-block" }, head, h("pre", { tabindex: 0 }, code));
}

/** Code is coloured once it is complete. */
function putCode(code, { text, language, closed }) {
  code.textContent = text;
  if (closed && language) code.dataset.language = language;
}

function drawTable(block) {
  const row = (tag, texts) => h("tr", {}, texts.map((text, column) => h(tag, { class: `align-${block.align[column]}` }, inline(text))));
  return h(
    "div",
    { class: "table-scroll", tabindex: 0, role: "group", label: "table" },
    h("table", {}, h("thead", {}, row("th", block.head)), h("tbody", {}, block.rows.map((texts) => row("td", texts)))),
  );
}
