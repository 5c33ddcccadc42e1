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
        # The marker of what was played elsewhere is the result of no task.
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


# Results of an official evaluator that were played elsewhere, one evaluation for each section.
rule import_results:
    input:
        files_to_import,
    output:
        RESULTS.imported("{evaluation}"),
    log:
        RESULTS.log("import", "{evaluation}"),
    wildcard_constraints:
        evaluation=one_of(SETTINGS.imports),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=lambda wildcards: SETTINGS.imports[wildcards.evaluation].model_dump(
            mode="json"
        ),
        tasks=TASKS,
        benchmark=BENCHMARK.name,
        allow_incomplete=SETTINGS.report.allow_incomplete,
    shell:
        "hearth import-results --name {wildcards.evaluation} --config {resources.settings} "
        "2>&1 | tee -i {log}"
