"""What the evaluator wrote: taken byte for byte, with our own result beside it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.core.errors import DataError
from hearth.core.files import atomic_path, write_bytes
from hearth.evaluation import identity, official
from hearth.evaluation.episode import OFFICIAL_KEYS
from hearth.evaluation.official_evaluator import traces
from hearth.evaluation.official_evaluator.facts import EvaluatorFacts
from hearth.evaluation.pending import Episode, PendingEpisodes
from hearth.evaluation.video import is_whole


@dataclass(frozen=True)
class Written:
    """The evaluator's files of one episode.

    Attributes:
        stem: their name, <task>_<instance as the evaluator numbers it>_<rollout>.
        content: the result's bytes.
        result: what they say.
        video: the film, None without one.
    """

    stem: str
    content: bytes
    result: official.OfficialResult
    video: Path | None


class EvaluatorFiles:
    """Reads one task's files from the evaluator's folders and keeps them."""

    def __init__(
        self,
        pending: PendingEpisodes,
        facts: EvaluatorFacts,
        numbers: official.InstanceNumbers,
    ) -> None:
        self._pending, self._facts, self._numbers = pending, facts, numbers

    def stem(self, episode: Episode) -> str:
        """The name of the episode's files without their ending."""
        instance, rollout = episode.key
        number = self._numbers.in_files(self._pending.task, instance)
        return f"{self._pending.task}_{number}_{rollout}"

    def read(self, folder: Path, episode: Episode) -> Written | None:
        """What the evaluator wrote of an episode, None while there is no result.

        Raises:
            TruncatedError: the result is not whole, so far.
            DataError: it is whole and of no use: not one of this year's, or it contradicts itself.
        """
        stem = self.stem(episode)
        try:
            content = self._place(folder, stem).read_bytes()
        except FileNotFoundError:
            return None
        name = official.parse_name(stem)
        assert name is not None
        result = official.read_official(content, name)
        if result.year != self._facts.year:
            raise DataError(
                f"has the form of {result.year}, not of {self._facts.year}, the evaluator's year"
            )
        limit = self._pending.benchmark.time_limit(self._pending.task)
        official.check_consistent(content, result, limit)
        video = folder / self._facts.videos / f"{stem}.mp4"
        return Written(stem, content, result, video if video.is_file() else None)

    def set_aside(self, folder: Path, episode: Episode) -> None:
        """Keep a result of no use, byte for byte, under a name that is never taken for a result."""
        stem = self.stem(episode)
        attempt = episode.attempts + episode.cut_off
        unusable = self._pending.results.official(self._pending.evaluation) / "unusable"
        write_bytes(
            unusable / f"{stem}.json.attempt{attempt}", self._place(folder, stem).read_bytes()
        )

    def _place(self, folder: Path, stem: str) -> Path:
        return folder / self._facts.results / f"{stem}.json"

    def has_film(self, written: Written) -> bool:
        """Whether the film is whole: it is closed only after the result was written."""
        return written.video is not None and is_whole(written.video)

    def keep(
        self,
        episode: Episode,
        written: Written,
        origin: dict[str, Any],
        predictions: Sequence[dict[str, Any]] = (),
    ) -> str:
        """Keep the evaluator's files and publish our result; returns a note on the episode.

        Args:
            origin: what its provenance says beside what `PendingEpisodes.provenance` does.
            predictions: of the policy, for the trace.
        """
        path = self._pending.path(episode)
        if identity.is_finished(path, self._pending.hashes):
            return "finished elsewhere"
        result = {**self._result(episode, written), "official": self._keep_official(path, written)}
        provenance = {**self._pending.provenance(episode), **origin}
        pending, steps = self._pending, written.result.steps
        traces.write(
            path, pending.job(episode), pending.benchmark, steps, predictions,
            pending.wanted.trace_chunk_pairs,
        )  # fmt: skip
        identity.publish(path, {**result, "provenance": provenance})
        return f"{result['status']}, q {written.result.q:.2f}"

    def _keep_official(self, path: Path, written: Written) -> dict[str, Any]:
        """Copy the evaluator's files; returns their places, below the evaluation, and SHA-256."""
        evaluation = self._pending.results.evaluation(self._pending.evaluation)
        folder = self._pending.results.official(self._pending.evaluation)
        record, film = (folder / "json" / f"{written.stem}.json"), None
        write_bytes(record, written.content)
        kept = folder / "videos" / f"{written.stem}.mp4"
        ours = path.with_suffix(".mp4")
        # Films of an earlier attempt must not stand beside this result.
        kept.unlink(missing_ok=True)
        ours.unlink(missing_ok=True)
        if self.has_film(written):
            assert written.video is not None
            with atomic_path(kept) as temporary:
                shutil.copyfile(written.video, temporary)
            ours.parent.mkdir(parents=True, exist_ok=True)
            _link(kept, ours)
            film = kept
        return {
            "file": record.relative_to(evaluation).as_posix(),
            "sha256": hashlib.sha256(written.content).hexdigest(),
            "video": film.relative_to(evaluation).as_posix() if film else None,
            "video_sha256": _sha256(film) if film else None,
        }

    def _result(self, episode: Episode, written: Written) -> dict[str, Any]:
        """Our result with the official values, and the hash of the file that they come from."""
        job, result = self._pending.job(episode), written.result
        values = official.json_values(written.content)
        return {
            "task": job.task,
            "instance_id": job.instance_id,
            "rollout_id": job.rollout_id,
            "steps": result.steps,
            "success": result.q == 1.0,
            "status": official.status(result, job.time_limit),
            **{key: values.get(key) for key in OFFICIAL_KEYS},
            "goals": [],  # the evaluator does not tell
            "reason": result.failure_reason,
        }


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
