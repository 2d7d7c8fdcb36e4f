"""Messages between front and engine.

Each is the body of one frame (framing.py): msgpack of a map that carries the message's type in the key "t".

Front -> engine: `Start` once, then `Submit`, `Cancel`, `Query`, `SetLogLevel`, `Shutdown`.
Engine -> front: `Ready` once, then `Accepted` or `Failed` for every `Submit` as soon as it is tokenised, `Working` before
work on other requests begins, `StepFrame` after every step, `Heartbeat` from the step loop while idle, `Fatal` before a
deliberate exit. Every `Submit` is answered by exactly one `Finished` (inside a `StepFrame`) or one `Failed`; a cancelled
request ends with finish_reason "cancelled". Every `Query` is answered by one `Reply` or `Failed`, between two steps.
"""
