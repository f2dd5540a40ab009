"""A MinIO server on a free loopback port for tests of storage."""

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.localcluster.children import Child, free_port, scratch_folder
from dev.localcluster.tools import binary
from dev.localcluster.waiting import answers, wait_until

START_SECONDS = 30.0


class MinioServer:
    """An object store that ends with the thread that started it."""

    access_key = "modelyard-root"
    secret_key = "modelyard-root-secret"

    def __init__(self, *, in_memory: bool = True, region: str = "", domain: str = "") -> None:
        """`domain` is the name below which it takes a bucket's name from the host."""
        self.folder = Path()
        self.endpoint = ""
        self._in_memory = in_memory
        self._more = {"MINIO_SITE_REGION": region, "MINIO_DOMAIN": domain}
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self.folder = scratch_folder("minio", self._in_memory)
        self.endpoint = f"127.0.0.1:{free_port()}"
        console = f"127.0.0.1:{free_port()}"
        data = self.folder / "data"
        command = [str(binary("minio")), "server", "--address", self.endpoint, "--console-address", console, str(data)]
        self._child = Child("minio", command, self.folder)
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address of the S3 API."""
        return f"http://{self.endpoint}"

    def start(self) -> None:
        """Start, or start again on the same port with the same data; wait until it is ready."""
        child = self._server()
        child.start(
            {
                "MINIO_ROOT_USER": self.access_key,
                "MINIO_ROOT_PASSWORD": self.secret_key,
                "MINIO_BROWSER": "off",
                "MINIO_UPDATE": "off",
                "HOME": str(self.folder),
                **{name: value for name, value in self._more.items() if value},
            }
        )
        ready = f"{self.url}/minio/health/cluster"
        wait_until(lambda: child.must_run() and answers(ready), "minio", START_SECONDS, pause=0.05)

    def stop(self, grace: float = 0.0) -> None:
        """Take the store away; without grace as in a crash."""
        self._server().stop(grace)

    def close(self) -> None:
        """Stop the server and remove its data."""
        if self._child:
            self._child.stop(grace=0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _server(self) -> Child:
        if self._child is None:
            raise RuntimeError("the server was not entered")
        return self._child
