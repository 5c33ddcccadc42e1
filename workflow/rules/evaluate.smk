# One job per evaluation and task. Finished episodes are kept and never run twice.


def trained_policy(wildcards):
    run = SETTINGS.evaluation(wildcards.evaluation).run_for(wildcards.task)
    return [] if run == "expert" else RESULTS.trained(run)


rule evaluate:
    input:
        trained_policy,
    output:
        RESULTS.task_result("{evaluation}", "{task}"),
    params:
        section=lambda wildcards: SETTINGS.evaluation(wildcards.evaluation).model_dump(
            mode="json"
        ),
        runtime=lambda wildcards: SETTINGS.runtime_for(wildcards.evaluation).model_dump(
            mode="json"
        ),
        seed=SETTINGS.seed,
        allow_incomplete=SETTINGS.report.allow_incomplete,
    log:
        RESULTS.log("evaluate", "{evaluation}", "{task}"),
    threads: workflow.cores or 1
    shell:
        "{HEARTH} evaluate --config {FROZEN} --evaluation {wildcards.evaluation}"
        " --task {wildcards.task} --log {log}"
