"""A local Ray cluster of two nodes; runs in Ray's own environment (./scripts/ray-fleet), not in that of the tests.

ray_nodes.py DIRECTORY: the cluster's files are below it. Prints its address, then obeys a line of stdin each:

    status    print how many boards run
    remove    kill the second node, with everything on it
    add       start it again
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster

MEGABYTE = 1 << 20


def start(cluster: Cluster, name: str, boards: int, **more: Any) -> Any:
    """A node with a name and so many boards."""
    return cluster.add_node(
        num_cpus=1,
        resources={"youtu-edge": boards},
        object_store_memory=80 * MEGABYTE,
        env_vars={**os.environ, "YOUTU_EDGE_SERVICE__BOARD": name},
        include_dashboard=False,
        **more,
    )


def running() -> int:
    application = serve.status().applications.get("youtu-edge")
    boards = application.deployments.get("boards") if application else None
    return boards.replica_states.get("RUNNING", 0) if boards else 0


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a raylet that is killed prints its whole state
    cluster = Cluster()
    try:
        start(cluster, "line-1", 2, temp_dir=sys.argv[1])
        second = start(cluster, "line-2", 1)
        ray.init(address=cluster.address, log_to_driver=False)
        print(cluster.address, file=answers, flush=True)
        for line in sys.stdin:
            command, answer = line.strip(), ""
            if command == "status":
                answer = json.dumps(running())
            elif command == "remove":
                cluster.remove_node(second, allow_graceful=False)
            else:
                second = start(cluster, "line-2", 1)
            print(answer, file=answers, flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
