"""What serve.yaml imports."""

# No `from __future__ import annotations`: Serve looks at the type of `settings` to check it.
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve.config import RequestRouterConfig

from youtu_edge_ray.board import Board
from youtu_edge_ray.ingress import Ingress
from youtu_edge_ray.router import BoardRouter

_STATS_PERIOD_S = 1.0


class Settings(BaseModel):
    """`args` of serve.yaml, which explains them."""

    model_config = ConfigDict(extra="forbid")

    command: list[str]
    storage: str
    boards_per_node: int = 1
    start_s: float = 300.0
    max_body_bytes: int = 2_097_152


def build(settings: Settings) -> serve.Application:
    """The application: an ingress on the head node before all boards."""
    router = RequestRouterConfig(request_router_class=BoardRouter, request_routing_stats_period_s=_STATS_PERIOD_S)
    boards = serve.deployment(Board).options(name="boards", request_router_config=router)
    ingress = serve.deployment(Ingress).options(name="ingress")
    replicas = boards.bind(settings.command, settings.storage, settings.boards_per_node, settings.start_s)
    return ingress.bind(replicas, settings.max_body_bytes)
