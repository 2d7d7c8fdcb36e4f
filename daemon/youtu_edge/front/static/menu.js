// A small menu at a button: arrow keys move, Escape and a click elsewhere close, the focus returns to the button.

import { h } from "./dom.js";

let close = () => {};

/** `entries`: {t, icon, run, danger}. */
export function openMenu(button, entries) {
  close();
  const items = entries.map(({ t, icon, run, danger }) => {
    const choose = () => {
      close();
      run();
    };
    return h("button", { class: danger ? "danger" : null, type: "button", role: "menuitem", icon, on: { click: choose } }, h("span", { t }));
  });
  const menu = h("div", { class: "menu", role: "menu" }, items);
  document.body.append(menu);
  place(menu, button.getBoundingClientRect());
  button.setAttribute("aria-expanded", "true");
  const outside = (event) => menu.contains(event.target) || button.contains(event.target) || close();
  close = () => {
    close = () => {};
    menu.remove();
    button.setAttribute("aria-expanded", "false");
    removeEventListener("pointerdown", outside, true);
    button.focus();
  };
  addEventListener("pointerdown", outside, true);
  menu.addEventListener("keydown", (event) => keyPressed(event, items));
  items[0].focus();
}

function keyPressed(event, items) {
  const at = items.indexOf(document.activeElement);
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  if (event.key in moves) items.at(moves[event.key] % items.length).focus();
  else if (event.key === "Escape" || event.key === "Tab") close();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Beside its button; on a touch screen in the lower corner on that side, where the thumb is. */
function place(menu, anchor) {
  const { width, height } = menu.getBoundingClientRect();
  if (matchMedia("(pointer: coarse)").matches) {
    menu.style.bottom = "8px";
    menu.style[anchor.left + anchor.width / 2 < innerWidth / 2 ? "left" : "right"] = "8px";
    return;
  }
  const below = anchor.bottom + 4;
  menu.style.top = `${below + height < innerHeight ? below : Math.max(4, anchor.top - height - 4)}px`;
  menu.style.left = `${Math.max(4, Math.min(anchor.right - width, innerWidth - width - 4))}px`;
}
