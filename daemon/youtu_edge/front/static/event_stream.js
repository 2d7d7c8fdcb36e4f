// Server-sent events of a POST, which EventSource cannot do: an async iterator of {number, document}, the number of the `id:` line
// (0 without one) and the JSON of the `data:` line. Throws ConnectionLost when the answer breaks off, AbortError when the caller's
// signal did that.

import { ConnectionLost } from "./api.js";

export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let number = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(lost);
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("id:")) number = Number(line.slice(3));
        else if (line.startsWith("data:")) yield { number, document: JSON.parse(line.slice(5)) }; // comments and blank lines only keep the connection open
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // ending the iteration closes the connection
  }
}

function lost(error) {
  throw error.name === "AbortError" ? error : new ConnectionLost(error.message);
}
