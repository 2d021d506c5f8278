"""A campaign of faults: kill -9 of whatever computes, at random moments, over restarts.

``python -m tests.batch.campaign FOLDER --engine here --pairs 300 --kills 200`` runs a batch twice:
undisturbed, and with kills of workers, of the driver and, on Ray, of Ray's own processes. At the
end both folders hold the same, nothing is half there, and no process is left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diffusion_geodesics.batch.job import Job
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.batch.pool import Pool
from diffusion_geodesics.batch.run import run_batch

MARK = "GEODESIC_CAMPAIGN"
"""Environment variable by which the processes of a campaign are known."""
RAY = ("raylet", "gcs_server")


def job_of(kind: str, seconds: float) -> Job:
    """The job: "toy" takes so many seconds and needs no network, "tiny" interpolates."""
    if kind == "toy":
        from tests.batch.toys import ToyJob

        return ToyJob(seconds)
    from diffusion_geodesics.models.settings import ModelSettings
    from tests.batch.tiny_job import SETTINGS, TinyJob

    return TinyJob(ModelSettings(), SETTINGS, report=False)


def pictures(folder: Path, count: int) -> list[BatchPair]:
    """Pairs of small pictures."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    files = [folder / f"{i:04d}.png" for i in range(count + 1)]
    for file in files:
        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        if not file.exists():
            Image.fromarray(pixels).save(file)
    return [BatchPair(f"pair{i}", str(files[i]), str(files[i + 1])) for i in range(count)]


def pool_of(engine: str, job: Job, out: Path, workers: int) -> Pool:
    """The engine by its name."""
    if engine == "here":
        from diffusion_geodesics.batch.engines.here import LocalPool

        return LocalPool(job, out, 2, workers)
    from diffusion_geodesics.batch.engines.ray import RayPool

    return RayPool(job, out, 2, workers)


@dataclass
class Report:
    """What a campaign has found.

    Args:
        kills: by what was killed.
        starts: of the driver.
        seconds: that the disturbed run took; undisturbed: the other one.
        faults: what is not as it should be; empty where all is well.
    """

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    seconds: float = 0.0
    undisturbed: float = 0.0
    faults: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write it after each kill, so that a campaign that is stopped has figures."""
        (folder / "report.json").write_text(json.dumps(vars(self), indent=1))


@dataclass
class Campaign:
    """A batch that is run again and again while its processes are killed.

    Args:
        folder: for everything.
        engine, kind, pairs, workers, seconds: of the batch.
        kills: how many.
        mean: seconds between two kills, on average.
        seed: of the moments and of whom it hits.
    """

    folder: Path
    engine: str = "here"
    kind: str = "toy"
    pairs: int = 40
    workers: int = 2
    seconds: float = 0.05
    kills: int = 8
    mean: float = 0.7
    seed: int = 0

    def run(self) -> Report:
        """Run the batch twice, and compare."""
        report = Report()
        started = time.monotonic()
        driver = self._start("undisturbed")
        if driver.wait() != 0:
            report.faults.append(f"the undisturbed run ended with status {driver.returncode}")
        report.undisturbed = time.monotonic() - started
        self._wait_for_end(report)
        started = time.monotonic()
        self._disturb(report)
        report.seconds = time.monotonic() - started
        self._compare(report)
        report.write(self.folder)
        return report

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        arguments = [self.engine, self.kind, str(self.pairs), str(self.workers), str(self.seconds)]
        root = Path(__file__).parents[2]
        environment = {
            **os.environ,
            MARK: str(self.folder),
            "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        command = [sys.executable, "-m", "tests.batch.campaign", str(self.folder / name)]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--drive", *arguments], env=environment, stdout=log, stderr=log
            )

    def _disturb(self, report: Report) -> None:
        """Kill at random moments, more often where the batch is ahead of the kills."""
        rng = random.Random(self.seed)
        inodes: dict[str, int] = {}
        driver = self._start("disturbed")
        report.starts = 1
        while True:
            killed = sum(report.kills.values())
            ahead = len(inodes) - self.pairs * killed / self.kills
            pause = rng.expovariate(1 / self.mean) * (0.1 if ahead > 3 else 1.0)
            try:
                status = driver.wait(None if killed >= self.kills else pause)
            except subprocess.TimeoutExpired:
                if ahead > -3:
                    self._kill(driver.pid, rng, report)
                self._look(inodes, report)
                continue
            self._look(inodes, report)
            if status == 0:
                break
            if report.starts > 4 * self.kills + 20:
                report.faults.append(f"the batch does not end: status {status}")
                break
            driver = self._start("disturbed")
            report.starts += 1
        self._wait_for_end(report)

    def _kill(self, driver: int, rng: random.Random, report: Report) -> None:
        """Kill one process of the campaign: the driver one time in five."""
        others = {pid: what for pid, what in self._processes().items() if pid != driver}
        workers = [pid for pid, what in others.items() if what == "worker"]
        ray = [pid for pid, what in others.items() if what in RAY]
        kinds = [("driver", [driver]), *[("worker", workers)] * 3, *[("ray", ray)] * bool(ray)]
        kind, chosen = rng.choice([k for k in kinds if k[1]])
        victim = rng.choice(chosen)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        report.kills[others.get(victim, kind)] += 1
        report.write(self.folder)

    def _processes(self) -> dict[int, str]:
        """The processes of the campaign that run, and what they are."""
        found: dict[int, str] = {}
        mark = f"{MARK}={self.folder}".encode()
        for place in Path("/proc").glob("[0-9]*"):
            try:
                command = (place / "cmdline").read_bytes().decode(errors="replace")
                state = (place / "stat").read_text().rpartition(")")[2].split()[0]
                ours = mark in (place / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if ours and state not in "ZX":
                found[int(place.name)] = _what(command)
        return found

    def _look(self, inodes: dict[str, int], report: Report) -> None:
        """Check what is there: every folder whole, and the same as when it was first seen."""
        folder = self.folder / "disturbed" / "pairs"
        for path in folder.glob("[!.]*"):  # a dot begins the names of what is being delivered
            if not (path / "result.json").is_file():
                report.faults.append(f"{path.name} is half there")
            inode = path.stat().st_ino
            if inodes.setdefault(path.name, inode) != inode:
                report.faults.append(f"{path.name} was delivered twice")
        present = {path.name for path in folder.glob("[!.]*")}
        report.faults += [f"{name} was lost" for name in inodes if name not in present]

    def _wait_for_end(self, report: Report) -> None:
        limit = time.monotonic() + 120
        while (left := self._processes()) and time.monotonic() < limit:
            time.sleep(0.2)
        for pid, what in left.items():
            report.faults.append(f"the process {pid} ({what}) was left")
            os.kill(pid, signal.SIGKILL)

    def _compare(self, report: Report) -> None:
        one, two = (contents(self.folder / name) for name in ("undisturbed", "disturbed"))
        report.faults += [f"{name} is missing" for name in one if name not in two]
        report.faults += [f"{name} should not be there" for name in two if name not in one]
        differ = [name for name in one if name in two and one[name] != two[name]]
        report.faults += [f"{name} differs" for name in differ]


def contents(out: Path) -> dict[str, str]:
    """Every file of a batch with a hash; times and the folder's name are left out of results."""
    found: dict[str, str] = {}
    for file in out.rglob("*"):
        if file.is_dir():
            continue
        content = file.read_bytes()
        if file.suffix in (".json", ".jsonl", ".html"):
            content = json.dumps([_timeless(line) for line in content.splitlines()]).encode()
        found[file.relative_to(out).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def _timeless(line: bytes) -> str:
    """A line without seconds: those of a result, and the last column of a page's table of costs."""
    text = line.decode()
    return "" if '"seconds"' in text else re.sub(r">[\d.]+</td></tr>$", "", text)


def _what(command: str) -> str:
    name = Path(command.split("\0")[0]).name
    if name in RAY:
        return name
    if "spawn_main" in command or "ray::_Actor" in command:
        return "worker"
    return "driver" if "--drive" in command else "helper"


def drive(out: Path, engine: str, kind: str, pairs: int, workers: int, seconds: float) -> int:
    """The driver of a batch."""
    job = job_of(kind, seconds)
    todo = pictures(out.parent / "in", pairs)
    progress = run_batch(job, todo, out, pool_of(engine, job, out, workers), together=1)
    return int(progress.failed > 0)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--drive", nargs=5)
    parser.add_argument("--engine", default="here", choices=("here", "ray"))
    parser.add_argument("--kind", default="tiny", choices=("toy", "tiny"))
    for name in ("pairs", "kills", "workers", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Campaign, name))
    for name in ("seconds", "mean"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Campaign, name))
    given = vars(parser.parse_args(arguments))
    folder, driven = given.pop("folder").resolve(), given.pop("drive")
    if driven:
        engine, kind, pairs, workers, seconds = driven
        return drive(folder, engine, kind, int(pairs), int(workers), float(seconds))
    folder.mkdir(parents=True)
    report = Campaign(folder, **given).run()
    print(json.dumps(vars(report), indent=1))
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
