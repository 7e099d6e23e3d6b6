"""An MLflow server as a subprocess."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gpu_host import eventually, free_port


class MlflowServer:
    """The user's MLflow server."""

    def __init__(self, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        store = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
        command += ["--port", self.address.rpartition(":")[2]]
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (folder / "mlflow.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Waits until the server responds."""

        def is_up() -> bool:
            assert self._process.poll() is None, "the MLflow server has exited"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5):
                return True
            return False

        eventually(is_up, "the MLflow server")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def newest_run(self) -> dict[str, Any]:
        """The latest run; empty if there is none."""
        found = self._ask("experiments/get-by-name?experiment_name=fashionseg", None)
        if not found:
            return {}
        query = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": 1}
        return next(iter(self._ask("runs/search", query).get("runs", [])), {})

    def tags(self) -> dict[str, str]:
        """Tags of the latest run."""
        return {tag["key"]: tag["value"] for tag in self.newest_run()["data"]["tags"]}

    def losses(self) -> list[float]:
        """All stored losses of the latest run by step, duplicates included."""
        run = self.newest_run()
        if not run:
            return []
        history = self._ask(f"metrics/get-history?run_id={run['info']['run_id']}&metric_key=loss", None)
        return [
            point["value"] for point in sorted(history.get("metrics", []), key=lambda point: point["step"])
        ]

    def wait_for_losses(self, expected: list[float]) -> None:
        eventually(lambda: self.losses() == expected, f"losses {expected} in MLflow")

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return {}
