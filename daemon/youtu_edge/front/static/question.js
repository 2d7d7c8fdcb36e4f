// What a question looks like: its text, and the files that were attached to it, folded. Files are part of the prompt, after the text:
//
//   Summarise this.
//
//   <file name="notes.txt">
//   …
//   </file>

import { h } from "./dom.js";
import { icon } from "./icons.js";

const FILE = /\n*<file name="([^"\n]*)">\n([\s\S]*?)\n<\/file>/g;
const END = /<\/file>/g;

/** A prompt made of a question and files {name, text}. */
export function withFiles(question, files) {
  const block = ({ name, text }) => `<file name="${name.replace(/["\n]/g, "")}">\n${text.replace(END, "<\\/file>")}\n</file>`;
  return [question, ...files.map(block)].join("\n\n").trim();
}

/** {text, files: [{name, text}]} of a prompt. */
export function parts(prompt) {
  const files = [...prompt.matchAll(FILE)].map(([, name, text]) => ({ name, text }));
  return { text: prompt.replace(FILE, "").trim(), files };
}

/** A title without the files that it may begin to name. */
export const titleText = (title) => title.split("<file name=")[0].trim() || title;

export function questionContents(prompt) {
  const { text, files } = parts(prompt);
  const fold = (file) => h("details", { class: "file" }, h("summary", {}, icon("file"), h("span", {}, file.name)), h("pre", { tabindex: 0 }, file.text));
  return [text && h("p", {}, text), ...files.map(fold)].filter(Boolean);
}
