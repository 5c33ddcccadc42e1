# One job per evaluation and task. Finished episodes are kept and never run twice.

# Embedded simulators are light: two jobs side by side, so that one plays while the other one starts
# or waits for its last episode. Others share a GPU that holds one simulator and one policy.
SIDE_BY_SIDE = 2 if BENCHMARK.simulator == "household" else 1
EVALUATION_CORES = max(1, (workflow.cores or 1) // SIDE_BY_SIDE)


rule evaluate:
    input:
        trained_policy,
    output:
        RESULTS.task_result("{evaluation}", "{task}"),
    log:
        RESULTS.log("evaluate", "{evaluation}", "{task}"),
    wildcard_constraints:
        # The marker of what `hearth import-results` brought in is the result of no task.
        task=r"(?!imported\.json)[^/]+",
    conda:
        "../envs/hearth.yaml"
    threads: EVALUATION_CORES
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
