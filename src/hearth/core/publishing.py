"""The sections of what leaves the experiment: a challenge's submission, and a bucket."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hearth.core.sections import Name, Section

# Fields of the submission's folder name, which dots part; spaces become underscores.
FolderField = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]*$")]


class SubmissionSettings(Section):
    """The folder that a challenge takes, as the target `submission` writes it."""

    evaluation: Name  # of official files: played here or brought in by `hearth import-results`
    team: FolderField
    affiliation: FolderField
    # YYYYMMDD; unquoted it is a number in YAML.
    date: Annotated[str, BeforeValidator(str), Field(pattern=r"^\d{8}$")]
    track: Literal["standard", "privileged"] = "standard"
    wrappers: tuple[str, ...] = ()  # files of wrapper code
    robot_config: str | None = None  # the robot's YAML or JSON
    readme: str | None = None  # how to evaluate the policy


class UploadSettings(Section):
    """Where the target `upload` sends results and page. Credentials never stand here."""

    to: Annotated[str, Field(pattern=r"^s3://[^/]+")]  # s3://BUCKET/PREFIX
    endpoint_url: str | None = None  # the server; null: as AWS's tools find it
    submission: bool = False  # also the folder of the section `submission`
