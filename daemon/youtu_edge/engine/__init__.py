"""The engine process: tokenizer, scheduler, paged cache, sampler and ONNX Runtime behind one socketpair.

Imports run one way: sequence <- kv_pages <- scheduler <- loop <- service; runner, sampler, prompt and detokenize do not
depend on the scheduler. Only engine.model imports onnxruntime.
"""
