// Draws growing markdown: only the changed blocks of a streamed answer are redrawn.

import { h } from "./dom.js";
import { copyButton } from "./copy_button.js";
import { blocksOf } from "./markdown_blocks.js";
import { inline } from "./markdown_inline.js";

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
      old.node.querySelector("code").textContent = block.text; // keeps the scroll position and the focus on its button
      this.#drawn[index] = { block, node: old.node };
      return;
    }
    const node = draw(block);
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
  table: drawTable,
};

function draw(block) {
  return drawers[block.kind](block);
}

function drawItem(blocks) {
  const [first, ...rest] = blocks;
  if (first && first.kind === "paragraph") return h("li", {}, inline(first.text), rest.map(draw)); // a tight list, as most models intend
  return h("li", {}, blocks.map(draw));
}

function drawCode(block) {
  const code = h("code", {}, block.text);
  const head = h("figcaption", {}, h("span", {}, block.language || ""), copyButton(() => code.textContent));
  return h("figure", { class: "code-block" }, head, h("pre", { tabindex: 0 }, code));
}

function drawTable(block) {
  const row = (tag, texts) => h("tr", {}, texts.map((text, column) => h(tag, { class: `align-${block.align[column]}` }, inline(text))));
  return h(
    "div",
    { class: "table-scroll", tabindex: 0, role: "group", label: "table" },
    h("table", {}, h("thead", {}, row("th", block.head)), h("tbody", {}, block.rows.map((texts) => row("td", texts)))),
  );
}
