// Markdown to blocks: text in, plain data out. No DOM here, so a model's text cannot execute.
//
//   heading {level, text}   paragraph {text}    code {language, text, closed}   rule {}   math {text}
//   quote {blocks}          list {ordered, start, items: [{blocks, done}]}                table {align, head, rows}
//
// `done` of a list's item is true or false for a task, else null; `text` of a formula has its delimiters.
//
// Every top-level block also carries `source`, by which the view recognises the blocks that it has drawn.

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*))?$/;
const TABLE_LINE = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const TASK = /^\[([ xX])\]\s+/;
const MATHS = [[/^ {0,3}\$\$/, /\$\$\s*$/], [/^ {0,3}\\\[/, /\\\]\s*$/]];
const MAX_MATH_LINES = 60;
const MAX_DEPTH = 12; // deeper nesting is read as text

const readers = [readCode, readMath, readHeading, readRule, readQuote, readList, readTable];

export function blocksOf(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [block, next] = readBlock(lines, at, depth);
    blocks.push({ ...block, source: lines.slice(at, next).join("\n") });
    at = next;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  if (depth < MAX_DEPTH) {
    for (const reader of readers) {
      const found = reader(lines, at, depth);
      if (found) return found;
    }
  }
  return readParagraph(lines, at, depth);
}

function readCode(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  const indent = lines[at].search(/\S/);
  const close = new RegExp(`^ {0,3}${open[1][0]}{${open[1].length},}\\s*$`);
  let end = at + 1;
  while (end < lines.length && !close.test(lines[end])) end += 1;
  const text = lines.slice(at + 1, end).map((line) => outdent(line, indent)).join("\n");
  const closed = end < lines.length;
  return [{ kind: "code", language: open[2].trim().split(/\s+/)[0], text, closed }, closed ? end + 1 : end];
}

/** A formula on lines of its own. One that is not closed (yet) is text. */
function readMath(lines, at) {
  for (const [open, close] of MATHS) {
    const begin = open.exec(lines[at]);
    if (!begin) continue;
    let end = at;
    const rest = lines[at].slice(begin[0].length);
    if (!(rest.trim() && close.test(rest))) {
      end += 1;
      while (end < lines.length && end - at < MAX_MATH_LINES && lines[end].trim() && !close.test(lines[end])) end += 1;
      if (end >= lines.length || !close.test(lines[end])) return null;
    }
    return [{ kind: "math", text: lines.slice(at, end + 1).join("\n").trim() }, end + 1];
  }
  return null;
}

function readHeading(lines, at) {
  const found = HEADING.exec(lines[at]);
  return found && [{ kind: "heading", level: found[1].length, text: found[2] || "" }, at + 1];
}

function readRule(lines, at) {
  return RULE.test(lines[at]) ? [{ kind: "rule" }, at + 1] : null;
}

function readQuote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  if (end === at) return null;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, "")).join("\n");
  return [{ kind: "quote", blocks: blocksOf(inner, depth + 1) }, end];
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const indent = first[1].length;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    // Models indent carelessly: one column more or less is still the same list.
    if (!item || Math.abs(item[1].length - indent) > 1 || /\d/.test(item[2]) !== ordered || RULE.test(lines[next])) break;
    const end = endOfItem(lines, next, indent);
    items.push(readItem(itemText(lines.slice(next, end), item), depth + 1));
    next = end;
    while (next < lines.length && !lines[next].trim() && ITEM.test(lines[next + 1] || "")) next += 1;
  }
  return [{ kind: "list", ordered, start: ordered ? parseInt(first[2], 10) : 1, items }, next];
}

function readItem(text, depth) {
  const task = TASK.exec(text);
  return { blocks: blocksOf(task ? text.slice(task[0].length) : text, depth), done: task && task[1] !== " " };
}

/** An item goes on over lines that are indented below it, and over lines of text that simply follow. */
function endOfItem(lines, at, indent) {
  let end = at + 1;
  let blank = false;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (!line.trim()) {
      blank = true;
      continue;
    }
    const inside = line.search(/\S/) >= indent + 2;
    if (!inside && (blank || ITEM.test(line) || startsBlock(lines, end))) break;
    blank = false;
  }
  while (!lines[end - 1].trim()) end -= 1;
  return end;
}

function itemText(lines, [, space, marker, rest = ""]) {
  const width = space.length + marker.length + 1;
  return [rest, ...lines.slice(1).map((line) => outdent(line, width))].join("\n");
}

function readTable(lines, at) {
  if (!lines[at].includes("|") || !TABLE_LINE.test(lines[at + 1] || "") || !lines[at + 1].includes("-")) return null;
  const head = cells(lines[at]);
  const rule = cells(lines[at + 1]);
  if (head.length !== rule.length) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].trim() && lines[end].includes("|")) end += 1;
  const align = rule.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "end") : "start"));
  const rows = lines.slice(at + 2, end).map((line) => {
    const row = cells(line);
    return head.map((_, column) => row[column] || "");
  });
  return [{ kind: "table", align, head, rows }, end];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.replace(/\\\|/g, "|").trim());
}

function readParagraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !(depth < MAX_DEPTH && startsBlock(lines, end))) end += 1;
  return [{ kind: "paragraph", text: lines.slice(at, end).map((line) => line.trim()).join("\n") }, end];
}

function startsBlock(lines, at) {
  const line = lines[at];
  return FENCE.test(line) || MATHS.some(([open]) => open.test(line)) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line) || Boolean(readTable(lines, at));
}

function outdent(line, columns) {
  return line.slice(Math.min(columns, Math.max(line.search(/\S/), 0)));
}
