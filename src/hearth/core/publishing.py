"""The sections of what comes from elsewhere and of what leaves: imports, submission, upload."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hearth.core.sections import Name, PositiveInt, Section

# Fields of the submission's folder name, which dots part; spaces become underscores.
FolderField = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]*$")]


class ImportSettings(Section):
    """Results of an official evaluator that were played elsewhere, as an evaluation of the table.

    Its name is the key in `imports`.
    """

    folder: str  # the evaluator's output folder, or a folder of many
    policy: str | None = None  # imports of one policy are repeated runs; null: the import's name
    split: str = "public"
    rollouts: PositiveInt = 1  # due per instance
    instances: str | None = None  # 2025: the challenge's test_instances.csv


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
