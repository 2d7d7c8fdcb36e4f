// The preferences of this browser: one object in localStorage. appearance.js reads the same one before the first paint.

const KEY = "youtu-edge";

const defaults = {
  theme: "system", // system | light | dark
  language: "", // "" = the browser's
  sidebar: "open", // on wide screens
  sampling: {}, // field -> value, only what the user changed
  presets: [], // {name, system, sampling}
};

let memory = null; // used instead if the browser blocks storage

function read() {
  if (memory) return memory;
  try {
    return { ...defaults, ...JSON.parse(localStorage.getItem(KEY) || "{}") };
  } catch {
    return { ...defaults };
  }
}

export function preference(name) {
  return read()[name];
}

export function setPreference(name, value) {
  const all = { ...read(), [name]: value };
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    memory = all;
  }
}
