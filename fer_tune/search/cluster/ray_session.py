"""One quiet Ray for a command: the cluster it was submitted to, or this machine alone."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

from fer_tune.errors import UserError
from fer_tune.ray_internals import NICENESS, know_own_address
from fer_tune.search.cluster.gpu_sharing import gpu_sharing
from fer_tune.search.cluster.ray_address import ALONE, check_answers, named_cluster
from fer_tune.search.cluster.ray_start import start_ray
from fer_tune.training.memory.allocator import allocator_environment

_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the table on screen is ours
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours hears SIGTERM too
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # epochs.parquet is our record, not CSV, JSON and TensorBoard per trial
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # how often a worker group's reports are fetched; 2 s by default
}
_WORKERS = {
    # A trial that is stopped may need longer than Ray's 2 s to unwind; the reused process would count as broken.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",
}


@contextmanager
def ray_session(*, dashboard: bool = False, gpus: float | None = None) -> Iterator[bool]:
    """Connect to Ray for the length of the block; a Ray that is already connected is used and left as it is.

    With ``RAY_ADDRESS`` set, as it is inside a job of ``ray job submit``, that cluster is joined, which is said: the
    variable may be left over, and the Ray somebody else's.  Otherwise Ray starts on this machine alone, protected by a
    token of its own.  Yields whether it is a cluster, whose nodes may come and go.

    Args:
        dashboard: start Ray's dashboard as well; worker groups need it, or stopped trials leak their placement
            group (measured with Ray 2.60).
        gpus: of one trial; where that is a part of one, trials on this machine share it, see `gpu_sharing`.

    Raises:
        UserError: the cluster does not answer or refuses the token, or has no dashboard where one is needed; this
            machine is too busy to start Ray.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    address = named_cluster()
    if ray.is_initialized():
        yield bool(address)
        return
    runtime_env: dict[str, Any] = {"env_vars": _WORKERS | allocator_environment(os.environ)}
    if address:
        check_answers(address)
        try:
            joined = ray.init(log_to_driver=False, logging_level=logging.ERROR, runtime_env=runtime_env)
        except Exception as error:  # Ray raises many kinds: connection, authentication, version
            raise UserError(
                f"RAY_ADDRESS={address}: cannot join this Ray cluster ({type(error).__name__}: {error}). "
                f"Is the head running, and is RAY_AUTH_MODE=token set with its token on this side? Or {ALONE}"
            ) from None
        address_info: dict[str, str] = joined.address_info  # type: ignore[attr-defined]  # Ray's documented way to it
        if dashboard and not address_info["webui_url"]:
            ray.shutdown()
            raise UserError(
                f"--workers-per-trial: the Ray at {address} runs without its dashboard, and there a stopped trial "
                "never gives its workers' places back, until the search hangs (measured with Ray 2.60). Start the head "
                "with `--include-dashboard=true`, where ray[default] is installed, or use one worker per trial"
            )
        print(
            f"RAY_ADDRESS={address}: what is trained runs on the Ray at {address_info['address']}, and others may use "
            f"that too; {ALONE}",
            file=sys.stderr,
        )
    else:
        if "RAY_AUTH_MODE" not in os.environ and not Path("~/.ray/auth_token").expanduser().exists():
            # Ray protects a local cluster by a token; given none, it writes a file that changes every later
            # `ray start` of this user.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ.setdefault(NICENESS, "0")
    with ExitStack() as sharing:
        if not address:
            runtime_env["env_vars"] |= sharing.enter_context(gpu_sharing(gpus))
            if dashboard:
                runtime_env["worker_process_setup_hook"] = know_own_address
            start_ray(dashboard=dashboard, runtime_env=runtime_env)
        try:
            yield bool(address)
        finally:
            ray.shutdown()
