"""The videos that the page shows first: of each task a success and a failure, with a still."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hearth.core.errors import DataError
from hearth.reporting.figures import episode_kind
from hearth.reporting.files import Files
from hearth.reporting.merged import Episode, Evaluation
from hearth.reporting.merged_files import fault_text
from hearth.reporting.posters import write_poster


@dataclass(frozen=True)
class Clip:
    """A video to show: which episode, what it is the first of, its link and a still."""

    caption: str
    episode: Episode
    kind: str
    video: str
    poster: str


def first_clips(
    root: Path, folder: Path, evaluation: Evaluation, faults: list[str]
) -> list[tuple[str, list[Clip]]]:
    """Per task the first success and the first episode that was no success, if filmed.

    Args:
        root: the results root.
        folder: of the page; stills are written below its ``figures``.
        faults: videos that cannot be decoded are added here.
    """
    files, shown = Files(root), []
    for task, result in evaluation.results.items():
        filmed = sorted((e for e in result.episodes if files.link(e.video)), key=lambda e: e.key)
        clips = []
        for caption, wanted in (("First success", True), ("First failure", False)):
            kinds = [(e, episode_kind(e)) for e in filmed]
            for episode, kind in [each for each in kinds if (each[1] == "success") == wanted][:1]:
                name = f"figures/poster-{task}-{kind}.jpg"
                try:
                    write_poster(root / str(episode.video), folder / name)
                except DataError as error:
                    faults.append(fault_text(error, root))
                    continue
                clips.append(Clip(caption, episode, kind, str(files.link(episode.video)), name))
        if clips:
            shown.append((task, clips))
    return shown
