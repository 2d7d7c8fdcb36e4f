// Reading aloud and push to talk, through the browser's own speech: where it has none, there are no buttons.

import { h } from "./dom.js";
import { language } from "./i18n.js";
import { icon } from "./icons.js";
import { toast } from "./toast.js";

const Recognition = globalThis.SpeechRecognition || globalThis.webkitSpeechRecognition;
const HAN = /\p{Script=Han}/u;

export const canSpeak = () => "speechSynthesis" in globalThis && "SpeechSynthesisUtterance" in globalThis;
export const canListen = () => Boolean(Recognition) && isSecureContext; // browsers give the microphone to secure pages only

const languageOf = (text) => (HAN.test(text) ? "zh-CN" : "en-GB");

/** What is read of an answer: no code, no marks. */
function readable(text) {
  return text
    .replace(/```[\s\S]*?(?:```|$)/g, " ")
    .replace(/[*_`#>|~]+/g, " ")
    .replace(/\]\([^)]*\)/g, "]");
}

export function speakButton(text) {
  const button = h("button", { class: "icon-button small speak", type: "button", icon: "speaker", label: "readAloud", "aria-pressed": "false" });
  const show = (speaks) => {
    button.setAttribute("aria-pressed", String(speaks));
    button.replaceChildren(icon(speaks ? "stop" : "speaker"));
  };
  button.addEventListener("click", () => {
    const speaking = button.getAttribute("aria-pressed") === "true";
    speechSynthesis.cancel();
    if (speaking) return;
    const utterance = new SpeechSynthesisUtterance(readable(text()));
    utterance.lang = languageOf(text());
    utterance.onend = utterance.onerror = () => show(false);
    show(true);
    speechSynthesis.speak(utterance);
  });
  return button;
}

/** Listens while `button` is held, also with the space bar; `heard(text)` gets what was said. */
export function pushToTalk(button, heard) {
  let recognition = null;
  const begin = (event) => {
    event.preventDefault();
    if (recognition) return;
    recognition = new Recognition();
    recognition.lang = language() === "zh" ? "zh-CN" : "en-GB";
    recognition.continuous = true;
    recognition.onresult = ({ results }) => heard([...results].map(([best]) => best.transcript).join("").trim());
    recognition.onerror = ({ error }) => error !== "no-speech" && error !== "aborted" && toast("speechFailed", {}, "error");
    recognition.onend = () => {
      recognition = null;
      button.classList.remove("listening");
    };
    button.classList.add("listening");
    recognition.start();
  };
  const end = () => recognition?.stop();
  button.addEventListener("pointerdown", begin);
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur", "keyup"]) button.addEventListener(name, end);
  button.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && !event.repeat && begin(event));
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press on a touch screen
}
