"""`youtu-edge model install https://…`: fetches the release that a file server has for this board, then installs it.

    rollout.json, its signature -> release -> archive, continued until complete -> size, sha256  |  install.py

On the left nothing interprets the archive; it is opened only on the right. The URL of an archive names that one, whatever
its percentage, and whatever became of it here before; what its bytes are is said by the index beside it, or by `sha256`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from youtu_edge.board_files import BoardFiles
from youtu_edge.board_name import board_name
from youtu_edge.config import Config
from youtu_edge.errors import PackageError, UpdateError, YoutuEdgeError
from youtu_edge.rollout import INDEX
from youtu_edge.updates.download import Download, RemoteFile
from youtu_edge.updates.https_client import HttpsClient, check_url
from youtu_edge.updates.install import Expected, install, spare_bytes, store_of
from youtu_edge.updates.pace import Pace
from youtu_edge.updates.remote_index import fetch_index
from youtu_edge.updates.rollout_choice import Choice, choose
from youtu_edge.updates.update_report import UpdateReport


@dataclass(frozen=True)
class RemoteSource:
    """What the command line says about the source. `sha256`: of the archive, where no index says it."""

    url: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_url(self.url)
        if self.sha256 and not self.is_archive:
            raise UpdateError(f"--sha256: {self.url} is an index, which says the sha256 of its archives; leave it out")

    @property
    def is_archive(self) -> bool:
        """Not a directory with an index, and not an index."""
        return not urlsplit(self.url).path.endswith(("/", ".json"))

    @property
    def index_url(self) -> str:
        """An index that was named, or the one in the directory."""
        return self.url if urlsplit(self.url).path.endswith(".json") else urljoin(self.url, INDEX)


class RemoteInstall:
    """One run of the command. `say` prints a line; `show` may show progress: (bytes so far, bytes in all)."""

    def __init__(
        self,
        config: Config,
        client: HttpsClient,
        pace: Pace,
        say: Callable[[str], None],
        show: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._config = config
        self._client = client
        self._pace = pace
        self._say = say
        self._show = show
        self._store = store_of(config)

    def run(self, source: RemoteSource, *, activate_it: bool = True, allow_lower: bool = False) -> None:
        """Returns when the release is installed, or if there is none for this board. Raises YoutuEdgeError."""
        with self._store.downloading() as directory:
            report = UpdateReport(self._store.root, source.url)
            try:
                download = self._download(directory, report)
                self._pace.wait_until_open(lambda text: self._wait(report, text))
                found = self._found(source, report)
                if found:
                    archive = download.fetch(found[0])
                    self._install(archive, found[1], download, report, activate_it=activate_it, allow_lower=allow_lower)
            except YoutuEdgeError as error:
                report.failed(error.message)
                raise
            except KeyboardInterrupt:
                report.failed("interrupted; the same command continues")
                raise

    def _found(self, source: RemoteSource, report: UpdateReport) -> tuple[RemoteFile, Expected | None] | None:
        if source.is_archive and source.sha256:
            report.change(stage="downloading", sha256=source.sha256)
            return RemoteFile(source.url, source.sha256), None
        url = source.index_url
        rollout = fetch_index(self._client, self._pace, url, self._config.updates, self._say)
        if source.is_archive:
            named = rollout.find(source.url, url)
            if named is None:
                raise UpdateError(f"{source.url}: {url} does not list this archive; publish it there, or add --sha256")
            choice = Choice("downloading", named)
        else:
            choice = choose(rollout, url, self._board(), self._store, report.known_rejections)
        release = choice.release
        report.change(stage=choice.stage, model=rollout.model, note=choice.note)
        if release:
            report.change(release=release.release, sha256=release.sha256, size=release.size)
        if release is None or choice.stage != "downloading":
            self._say(f"nothing to install: {choice.note}")
            return None
        self._say(f"release {release.release} of {rollout.model}, {release.size} bytes")
        archive_url = urljoin(url, release.archive)
        check_url(archive_url)
        return RemoteFile(archive_url, release.sha256, release.size), Expected(rollout.model, release.release)

    def _install(
        self,
        archive: Path,
        expected: Expected | None,
        download: Download,
        report: UpdateReport,
        *,
        activate_it: bool,
        allow_lower: bool,
    ) -> None:
        size = archive.stat().st_size
        self._say(f"fetched {size} bytes; their sha256 is right")
        report.change(stage="installing", received=size, size=size)
        try:
            version = install(
                archive, self._config, self._say, activate_it=activate_it, allow_lower=allow_lower, expected=expected
            )
        except PackageError as error:
            download.forget_all()
            report.rejected(error.message)
            raise
        download.forget_all()
        report.change(stage="installed", note=version)

    def _download(self, directory: Path, report: UpdateReport) -> Download:
        def progress(done: int, total: int) -> None:
            report.progress(done, total)
            self._show(done, total)

        return Download(
            self._client,
            directory,
            self._pace,
            spare=lambda: spare_bytes(self._store.root),
            say=self._say,
            waiting=lambda text: self._wait(report, text),
            progress=progress,
        )

    def _wait(self, report: UpdateReport, text: str) -> None:
        report.change(stage="waiting", note=text)
        self._say(text)

    def _board(self) -> str:
        service = self._config.service
        return board_name(service.board, port=service.port, host_name=socket.gethostname(), files=BoardFiles())
