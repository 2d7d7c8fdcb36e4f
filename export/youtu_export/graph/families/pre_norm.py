"""The frame that most families share: norm, attention, add, norm, feed-forward, add, with RMS norms (Xiong et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from youtu_export.graph.decoder import Decoder

Attend = Callable[[Decoder, str, str, str, int], str]
"""(decoder, graph path, checkpoint name of the layer, x [T, hidden], layer) -> context [T, context_width]"""
FeedForward = Callable[[Decoder, str, str, str], str]
"""(decoder, graph path, checkpoint name of the layer, x [T, hidden]) -> [T, hidden]"""


@dataclass(frozen=True, kw_only=True)
class PreNormDecoder:
    """What differs between families: the two blocks, and the names of everything around them in the checkpoint."""

    attend: Attend
    feed_forward: FeedForward
    context_width: int
    output_bias: bool | None
    """Bias of the attention's last projection, see Decoder.linear."""
    embedding: str = "model.embed_tokens"
    layers: str = "model.layers"
    attention_norm: str = "input_layernorm"
    attention_output: str = "self_attn.o_proj"
    feed_forward_norm: str = "post_attention_layernorm"
    attention_post_norm: str | None = None
    """Norm of the attention's output before it is added; None: none."""
    feed_forward_post_norm: str | None = None
    final_norm: str = "model.norm"
    head: str = "lm_head"

    def build(self, decoder: Decoder, layer_done: Callable[[], None]) -> str:
        """Emit the whole model; returns the name of the logits."""
        spec, factors = decoder.spec, decoder.spec.multipliers
        residual = decoder.scale("/model/embed_tokens", decoder.embed(self.embedding), factors.embedding)
        output = ""
        for layer in range(spec.layers):
            path, name = f"/model/layers.{layer}", f"{self.layers}.{layer}"
            norm = f"{name}.{self.attention_norm}"
            if layer == 0:
                normed = decoder.rms_norm(f"{path}/attn_norm", residual, norm)
            else:
                normed, residual = decoder.add_rms_norm(f"{path}/attn_norm", output, residual, norm)
            context = self.attend(decoder, f"{path}/attn", name, normed, layer)
            if layer == spec.layers - 1:
                context = decoder.logit_rows(f"{path}/attn", context)
                residual = decoder.logit_rows(f"{path}/residual", residual)
            attended = decoder.linear(
                f"{path}/attn/o", context, [f"{name}.{self.attention_output}"], [spec.hidden], self.context_width,
                self.output_bias,
            )  # fmt: skip
            if self.attention_post_norm:
                attended = decoder.rms_norm(f"{path}/attn_post_norm", attended, f"{name}.{self.attention_post_norm}")
            attended = decoder.scale(f"{path}/attn/scale", attended, factors.residual)
            norm = f"{name}.{self.feed_forward_norm}"
            normed, residual = decoder.add_rms_norm(f"{path}/mlp_norm", attended, residual, norm)
            output = self.feed_forward(decoder, f"{path}/mlp", name, normed)
            if self.feed_forward_post_norm:
                output = decoder.rms_norm(f"{path}/mlp_post_norm", output, f"{name}.{self.feed_forward_post_norm}")
            output = decoder.scale(f"{path}/mlp/scale", output, factors.residual)
            layer_done()
        normed, _ = decoder.add_rms_norm("/model/norm", output, residual, self.final_norm)
        return decoder.head(decoder.scale("/model/norm", normed, factors.logits), self.embedding, self.head)


def gated_feed_forward(decoder: Decoder, path: str, name: str, x: str) -> str:
    """SwiGLU, named as in Llama and its relatives."""
    return decoder.swiglu(path, x, [f"{name}.mlp.gate_proj", f"{name}.mlp.up_proj"], f"{name}.mlp.down_proj")
