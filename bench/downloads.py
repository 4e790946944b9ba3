"""Downloads against curl: the same files from the same server, at the same parallelism, in the same run.

    python bench/downloads.py --files 16 --megabytes 64 --parallel 8

`curl` only writes to the page cache. `curl + fsync` writes what ours does: every file synced, as a file must be before
a ledger may call it complete. `ours` hashes, checks the container, syncs, and writes a synced sidecar besides.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socketserver
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seedbatch.artifacts import ArtifactStore
from seedbatch.domain.answers import MediaKind, StoredFile
from seedbatch.domain.work import Download

MIB = 1024 * 1024


class Sender(socketserver.StreamRequestHandler):
    """Keep-alive GETs answered by sendfile, so that the server costs as little as a server can."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            path = Path(line.split()[1].decode().lstrip("/"))
            while self.rfile.readline().strip():
                pass
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {size}\r\n\r\n"
                self.request.sendall(head.encode())
                self.request.sendfile(file)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def serve(folder: str) -> None:
    os.chdir(folder)
    with Server(("127.0.0.1", 0), Sender) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def box(name: bytes, size: int) -> bytes:
    return (8 + size).to_bytes(4, "big") + name


def make_files(folder: Path, files: int, megabytes: float) -> list[str]:
    filler = os.urandom(MIB)
    size = int(megabytes * MIB)
    for index in range(files):
        with (folder / f"{index}.mp4").open("wb") as file:
            file.write(box(b"ftyp", 8) + b"isom\0\0\0\0" + box(b"moov", 64) + bytes(64) + box(b"mdat", size))
            for begin in range(0, size, MIB):
                file.write(filler[: min(MIB, size - begin)])
    return [f"{index}.mp4" for index in range(files)]


def curl(base: str, names: list[str], parallel: int, folder: Path) -> None:
    command = ["curl", "--silent", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", str(parallel)]
    for name in names:
        command += ["--output", str(folder / name), f"{base}/{name}"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # this curl draws its meter even when silent


def curl_synced(base: str, names: list[str], parallel: int, folder: Path) -> None:
    curl(base, names, parallel, folder)
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(lambda name: sync(folder / name), names))


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class Ours:
    """The store, and how late the event loop was meanwhile."""

    def __init__(self) -> None:
        self.lags: list[float] = []

    def __call__(self, base: str, names: list[str], parallel: int, folder: Path) -> None:
        asyncio.run(self.run(base, names, parallel, folder))

    async def run(self, base: str, names: list[str], parallel: int, folder: Path) -> None:
        turn = asyncio.Semaphore(parallel)
        async with ArtifactStore(folder, allow_origins=frozenset({base})) as store:

            async def one(name: str) -> None:
                async with turn:
                    wanted = Download(f"{base}/{name}", name[:-4], MediaKind.VIDEO, name[:-4], {"task_id": name})
                    answer = await store.fetch(wanted)
                    assert isinstance(answer, StoredFile), answer

            watching = asyncio.create_task(self.watch())
            await asyncio.gather(*map(one, names))
            watching.cancel()

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 0.005
            await asyncio.sleep(0.005)
            self.lags.append(loop.time() - due)


def measure(
    run: Callable[[str, list[str], int, Path], None], base: str, names: list[str], args: argparse.Namespace
) -> float:
    folder = Path(tempfile.mkdtemp(prefix="downloads-", dir=args.folder))
    os.sync()
    begin = time.perf_counter()
    run(base, names, args.parallel, folder)
    took = time.perf_counter() - begin
    shutil.rmtree(folder)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--megabytes", type=float, default=32)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where files are written; the system's temporary folder if absent")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    with tempfile.TemporaryDirectory(prefix="downloads-source-", dir=args.folder) as source:
        names = make_files(Path(source), args.files, args.megabytes)
        server = subprocess.Popen([sys.executable, __file__, "--serve", source], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            compare(f"http://127.0.0.1:{int(server.stdout.readline())}", names, args)
        finally:
            server.terminate()
            server.wait()


def compare(base: str, names: list[str], args: argparse.Namespace) -> None:
    ours = Ours()
    runs = {"curl": curl, "curl + fsync": curl_synced, "ours": ours}
    took: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        measure(run, base, names, args)  # warm
        print(f"warm: {name}", file=sys.stderr)
    ours.lags.clear()
    for _ in range(args.rounds):
        for name, run in runs.items():
            took[name].append(measure(run, base, names, args))
    total = args.files * args.megabytes
    print(
        f"{args.files} files of {args.megabytes:g} MiB, {args.parallel} at a time, {args.rounds} rounds, median (worst)"
    )
    print(f"{'':14}{'MiB/s':>16}{'s':>8}{'of curl':>9}{'of curl + fsync':>17}")
    middle = {name: statistics.median(times) for name, times in took.items()}
    for name, seconds in middle.items():
        rate = f"{total / seconds:.0f} ({total / max(took[name]):.0f})"
        of_curl, of_synced = middle["curl"] / seconds, middle["curl + fsync"] / seconds
        print(f"{name:14}{rate:>16}{seconds:8.2f}{of_curl:9.0%}{of_synced:17.0%}")
    lags = sorted(ours.lags)
    print(
        f"event loop late: median {lags[len(lags) // 2] * 1e3:.1f} ms, p99 {lags[int(len(lags) * 0.99)] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
