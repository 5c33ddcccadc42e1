# What leaves the experiment, only where it is asked for: no part of `all`.


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
