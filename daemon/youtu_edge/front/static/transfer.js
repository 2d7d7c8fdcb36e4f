// Conversations as files: export as JSON or Markdown, import of either.
//
// The Markdown has the title as its heading, and a heading for each message: `## User` and `## Assistant`, in every language, so that
// the file can be read again. Lines of a message that look like one of these are escaped.

import { h } from "./dom.js";
import { importSession, newId, readSession } from "./session_store.js";

const HEADS = { user: "## User", assistant: "## Assistant" };
const SYSTEM = "## System";
const ANY_HEAD = /^\\*## (?:User|Assistant|System)\s*$/gm;

export async function exportSession(id, form) {
  const document = await readSession(id);
  const name = (document.title || id).replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60).replace(/^-+|-+$/g, "") || id;
  if (form === "json") save(`${name}.json`, "application/json", JSON.stringify(document, null, 2));
  else save(`${name}.md`, "text/markdown", markdownOf(document));
}

/** The id of the new conversation. Throws SyntaxError when the text is no conversation, ApiError and ConnectionLost. */
export async function importText(text) {
  const id = newId();
  await importSession(id, text.trimStart().startsWith("{") ? fromJson(text) : fromMarkdown(text));
  return id;
}

export function markdownOf({ title, system, messages }) {
  const section = (head, text) => `${head}\n\n${text.replace(ANY_HEAD, "\\$&").trim()}\n`;
  const parts = [`# ${title}\n`];
  if (system) parts.push(section(SYSTEM, system));
  for (const { role, content } of messages) parts.push(section(HEADS[role], content));
  return parts.join("\n");
}

export function fromMarkdown(text) {
  const [head, ...sections] = text.replace(/\r\n?/g, "\n").split(/^(?=## (?:User|Assistant|System)\s*$)/m);
  const document = { title: (/^# (.+)$/m.exec(head)?.[1] ?? "").slice(0, 200), messages: [] };
  for (const section of sections) {
    const [, name, body] = /^## (\w+)\s*?\n?([\s\S]*)$/.exec(section);
    const content = body.replace(ANY_HEAD, (line) => line.replace("\\", "")).trim();
    if (name === "System") document.system = content;
    else document.messages.push({ role: name.toLowerCase(), content });
  }
  if (!document.messages.length) throw new SyntaxError("no messages");
  return document;
}

function fromJson(text) {
  const { title = "", system = "", messages } = JSON.parse(text);
  if (!Array.isArray(messages) || !messages.length) throw new SyntaxError("no messages");
  return { title: title || "", system: system || "", messages };
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
