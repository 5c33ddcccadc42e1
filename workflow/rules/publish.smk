# What leaves the experiment, only where it is asked for: no part of `all`.


def submitted_evaluation(wildcards):
    """The results of the evaluation that is submitted, played here or brought in."""
    section = SETTINGS.submission
    if section is None:
        raise WorkflowError(
            "The target 'submission' needs a section 'submission' in the experiment, with "
            "evaluation, team, affiliation and date (docs/leaderboard.md)."
        )
    if section.evaluation in SETTINGS.evaluation_names:
        return [RESULTS.task_result(section.evaluation, task) for task in TASKS]
    if section.evaluation not in RESULTS.imported_evaluations():
        valid = [*SETTINGS.evaluation_names, *RESULTS.imported_evaluations()]
        raise WorkflowError(
            f"submission.evaluation '{section.evaluation}': "
            + choices(section.evaluation, valid)
        )
    return RESULTS.imported(section.evaluation)


def submitted_files(wildcards):
    """The files of the section beside the results."""
    section = SETTINGS.submission
    others = [section.robot_config, section.readme] if section else []
    return [*(section.wrappers if section else []), *filter(None, others)]


def uploaded_submission(wildcards):
    """What is sent beside the results and the page."""
    if SETTINGS.upload is None:
        raise WorkflowError(
            "The target 'upload' needs a section 'upload' in the experiment with 'to', such as "
            "s3://bucket/prefix (docs/leaderboard.md)."
        )
    return RESULTS.submitted if SETTINGS.upload.submission else []


rule submission:
    input:
        submitted_evaluation,
        submitted_files,
    output:
        RESULTS.submitted,
    log:
        RESULTS.log("publish", "submission"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.submission and SETTINGS.submission.model_dump(mode="json"),
    shell:
        "hearth submission --replace --config {resources.settings} 2>&1 | tee -i {log}"


# The bucket says what it has: after a kill it goes on with the rest.
rule upload:
    input:
        rules.leaderboard.output,
        uploaded_submission,
    output:
        RESULTS.uploaded,
    log:
        RESULTS.log("publish", "upload"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.upload and SETTINGS.upload.model_dump(mode="json"),
    shell:
        "hearth upload --config {resources.settings} 2>&1 | tee -i {log}"
