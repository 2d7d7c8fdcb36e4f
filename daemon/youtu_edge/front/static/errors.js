// What an error means to a person: [key, parameters] of a text.

import { ConnectionLost } from "./api.js";
import { strings } from "./strings.js";

/** `begun`: a part of the answer had come. */
export function explain(error, begun = false) {
  if (error instanceof ConnectionLost) return [begun ? "lostMidway" : "unreachable"];
  if (error instanceof TypeError) return ["unreachable"]; // a part of the page that is loaded when it is needed
  if (error.code === "not_found" && error.param === "Last-Event-ID") return ["backMaybeIncomplete"];
  const key = `error_${error.code}`;
  return key in strings ? [key, {}] : ["failed", { message: error.message }];
}
