# One job per evaluation and task. Finished episodes are kept and never run twice.


rule evaluate:
    input:
        trained_policy,
    output:
        RESULTS.task_result("{evaluation}", "{task}"),
    log:
        RESULTS.log("evaluate", "{evaluation}", "{task}"),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        section=evaluation_section,
        runtime=lambda wildcards: SETTINGS.runtime_for(
            wildcards.evaluation
        ).model_dump(mode="json"),
        seed=SETTINGS.seed,
        facts=lambda wildcards: episode_facts(
            BENCHMARK, wildcards.task, SETTINGS.evaluation(wildcards.evaluation).split
        ),
        allow_incomplete=SETTINGS.report.allow_incomplete,
        command=launch_command("evaluate"),
    shell:
        "hearth {params.command} --config {resources.settings} --evaluation {wildcards.evaluation}"
        " --task {wildcards.task} 2>&1 | tee -i {log}"
