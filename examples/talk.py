"""Talk with the device in one session, with nothing but the standard library. Ctrl-C interrupts an answer, as speech would.

    python3 examples/talk.py [HOST:PORT] [SESSION]

The device keeps the conversation: start this again with the same session, and it goes on where it was.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from typing import Any

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080"
SESSION = sys.argv[2] if len(sys.argv) > 2 else "talk"


def post(path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
    """The response to a JSON body; raises RuntimeError with the daemon's own words when it refuses."""
    connection = http.client.HTTPConnection(ADDRESS, timeout=60)  # the daemon says something every 10 s while it works
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(json.load(response)["error"]["message"])
    return response


def events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The events of a stream. Lines that do not begin with "data:" are comments."""
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def answer(prompt: str) -> None:
    """Print the answer as it comes; on Ctrl-C stop it, and let the device remember only what was printed."""
    spoken = 0
    stream = post("/chat_stream", {"prompt": prompt, "session_id": SESSION})
    try:
        for event in events(stream):
            if "error" in event:
                raise RuntimeError(event["error"]["message"])
            spoken += len(event.get("text", ""))
            print(event.get("text", ""), end="", flush=True)
    except KeyboardInterrupt:
        post(f"/v1/sessions/{SESSION}/interrupt", {"spoken_chars": spoken}).read()
        print(" …", end="")
    finally:
        stream.close()
    print()


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            answer(line.strip() or "Hello")
        except (OSError, RuntimeError) as error:
            sys.exit(f"talk: {error}")
