"""The episodes that one process still has to play: claims, attempts, results of the crashed."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.benchmark import Benchmark
from hearth.core import claims
from hearth.core.progress import Advance
from hearth.core.results import Results
from hearth.core.sections import EvaluationSettings
from hearth.core.seeds import integer
from hearth.core.settings import Settings
from hearth.core.traces import trace_path
from hearth.evaluation import identity
from hearth.evaluation.episode import EpisodeJob, crashed_result

_CLAIMED_SECONDS = 5.0  # between two looks at an episode that another process plays


@dataclass
class Episode:
    """One due episode: how often it was tried, on which server last, and when to look at it.

    Attributes:
        attempts: those that count.
        cut_off: further ones that ended with a shared policy server.
    """

    key: identity.Key
    attempts: int = 0
    cut_off: int = 0
    server: Any = None
    look_at: float = 0.0  # monotonic seconds


class PendingEpisodes:
    """The due episodes of one task that have no result yet.

    What is taken is claimed, so that no other process plays it, until it is finished or given up.
    """

    def __init__(
        self,
        settings: Settings,
        benchmark: Benchmark,
        evaluation: str,
        task: str,
        hashes: dict[str, str],
        advance: Advance,
    ) -> None:
        self.settings, self.benchmark = settings, benchmark
        self.evaluation, self.task = evaluation, task
        self.wanted: EvaluationSettings = settings.evaluation(evaluation)
        self.hashes, self.advance = hashes, advance
        self.results = Results.of(settings)
        self.counts = {"finished": 0, "crashed": 0}
        self.elsewhere = 0  # episodes that another process finished meanwhile
        self._waiting: deque[Episode] = deque()
        self._beat: claims.Heartbeat | None = None

    def open(self, keys: Iterable[identity.Key]) -> None:
        """Start with these episodes, and keep the claims on them fresh until `close`."""
        self._waiting.extend(Episode(key) for key in keys)
        self._beat = claims.Heartbeat()

    def close(self) -> None:
        """Give all claims back."""
        if self._beat is not None:
            self._beat.close()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> Episode | None:
        """The next episode that no other process plays, claimed; None if there is none now."""
        for _ in range(len(self._waiting)):
            episode = self._waiting.popleft()
            claim = self._claim(episode)
            if time.monotonic() < episode.look_at:
                self._waiting.append(episode)
            elif claims.take(claim, succeed_own_job=True) is not None:
                episode.look_at = time.monotonic() + _CLAIMED_SECONDS
                self._waiting.append(episode)
            else:
                self._heartbeat.add(claim)
                if not identity.is_finished(self.path(episode), self.hashes):
                    episode.attempts += 1
                    return episode
                self._heartbeat.release(claim)
                self.elsewhere += 1
                self.advance(1, "finished elsewhere")
        return None

    def finished(self, episode: Episode, note: str) -> None:
        """The episode has its result."""
        self._heartbeat.release(self._claim(episode))
        self.counts["finished"] += 1
        self.advance(1, note)

    def give_back(self, episodes: Iterable[Episode]) -> None:
        """These were taken but never begun: no attempt is counted, and they come next."""
        for episode in reversed(list(episodes)):
            episode.attempts -= 1
            self._heartbeat.release(self._claim(episode))
            self._waiting.appendleft(episode)

    def failed(
        self, episode: Episode, reason: str, log: list[str], *, next_in_turn: bool = True
    ) -> None:
        """An attempt failed: play the episode again, or record it as crashed after the last one.

        Args:
            episode: the one that the fault hit.
            reason, log: what a crashed result says of the last attempt.
            next_in_turn: play it again before all others; otherwise after them.
        """
        if episode.attempts < self.wanted.attempts:
            self._heartbeat.release(self._claim(episode))
            if next_in_turn:
                self._waiting.appendleft(episode)
            else:
                self._waiting.append(episode)
            return
        path = self.path(episode)
        for stale in (path.with_suffix(".mp4"), trace_path(path)):
            stale.unlink(missing_ok=True)
        result = crashed_result(self.job(episode), reason, log)
        identity.publish(path, {**result, "provenance": self.provenance(episode)})
        self._heartbeat.release(self._claim(episode))
        self.counts["crashed"] += 1
        self.advance(1, f"crashed: {reason}")

    def cut_off(self, episode: Episode, reason: str, log: list[str]) -> None:
        """The shared policy server ended under an episode: it is played again from the start.

        Servers are preempted and reach time limits, so this is no attempt of the episode. But one
        that outlives no server may be what ends them: then further ones count.
        """
        if episode.cut_off < self.wanted.attempts:
            episode.cut_off += 1
            instance, rollout = episode.key
            print(
                f"{self.task} {instance} {rollout} is played again from the start: {reason}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            self.give_back([episode])
        else:
            self.failed(episode, reason, log)

    def path(self, episode: Episode) -> Path:
        """The file of the episode's result."""
        return self.results.episode(self.evaluation, self.task, *episode.key)

    def job(self, episode: Episode) -> EpisodeJob:
        """What the episode is."""
        instance, rollout = episode.key
        task = self.benchmark.task(self.task)
        # The first rollout starts exactly as the instance says, further ones a little beside.
        noise = integer(self.settings.seed, "rollout", task.index, instance, rollout)
        return EpisodeJob(
            task=self.task,
            instance_id=instance,
            rollout_id=rollout,
            task_index=task.index,
            time_limit=self.benchmark.time_limit(self.task),
            frames_per_second=self.benchmark.frames_per_second,
            start_noise_seed=noise if rollout else None,
            video_size=self.wanted.video_size if self.wanted.video else None,
        )

    def provenance(self, episode: Episode) -> dict[str, Any]:
        """What this process knows of the origin of the episode's result."""
        run = identity.played_by(self.settings, self.evaluation, self.task)
        bundle = {}
        if run != identity.EXPERT:
            bundle = identity.bundle_provenance(self.settings, run)
        return {
            **self.hashes,
            "statistics_hash": bundle.get("fingerprint", {}).get("statistics_hash"),
            "policy": run,
            "hearth_version": identity.version("hearth"),
            "git_commit": identity.git_commit(),
            "seed": self.settings.seed,
            "attempts": episode.attempts + episode.cut_off,
            "video": self.wanted.video,  # whether one was to be made
        }

    @property
    def _heartbeat(self) -> claims.Heartbeat:
        assert self._beat is not None, "open() comes first"
        return self._beat

    def _claim(self, episode: Episode) -> Path:
        return self.results.claim(self.evaluation, self.task, *episode.key)
