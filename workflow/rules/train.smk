# Training. Checkpoints are never declared: Snakemake deletes declared outputs before a new try,
# and a killed training must go on from its newest checkpoint.


rule train:
    input:
        statistics=statistics_of,
        tokenizer=tokenizer_of,
        prepared=expand(RESULTS.prepared("{task}"), task=TASKS),
        index=sorted({dataset_index(task) for task in TASKS}),
    output:
        RESULTS.trained("{run}"),
    log:
        RESULTS.log("train", "{run}"),
    wildcard_constraints:
        run=none_of(FINETUNED_RUNS),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        # Statistics of its own are an input.
        run=lambda wildcards: SETTINGS.run(wildcards.run).model_dump(
            mode="json", exclude={"statistics"}
        ),
        model=lambda wildcards: SETTINGS.for_run(wildcards.run).model.model_dump(
            mode="json"
        ),
        facts=data_facts(BENCHMARK, BENCHMARK.task_names),
        command=launch_command("train"),
    shell:
        "hearth {params.command} --config {resources.settings} --run {wildcards.run} 2>&1 | tee -i {log}"


# The second phase: more runs, each from the weights of another one (report, 6.4).
rule finetune:
    input:
        first=lambda wildcards: RESULTS.trained(
            SETTINGS.run(wildcards.run).initialise_from
        ),
        # Ancient: what groups made anew would change stands in the parameters.
        groups=ancient(lambda wildcards: groups_of(wildcards.run)),
        statistics=statistics_of,
        tokenizer=tokenizer_of,
        prepared=expand(RESULTS.prepared("{task}"), task=TASKS),
    output:
        RESULTS.trained("{run}"),
    log:
        RESULTS.log("train", "{run}"),
    wildcard_constraints:
        run=one_of(FINETUNED_RUNS),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        # Statistics of its own are an input.
        run=lambda wildcards: SETTINGS.run(wildcards.run).model_dump(
            mode="json", exclude={"statistics"}
        ),
        tasks=lambda wildcards: tasks_to_train(wildcards.run),
        model=lambda wildcards: SETTINGS.for_run(wildcards.run).model.model_dump(
            mode="json"
        ),
        facts=data_facts(BENCHMARK, BENCHMARK.task_names),
        command=launch_command("finetune"),
    shell:
        "hearth {params.command} --config {resources.settings} --run {wildcards.run} 2>&1 | tee -i {log}"


# Which tasks belong together follows from the first phase's scores on instances of their own.
checkpoint task_groups:
    input:
        expand(RESULTS.task_result(VALIDATION, "{task}"), task=TASKS),
    output:
        RESULTS.groups,
    log:
        RESULTS.log("train", "groups"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        rate=SETTINGS.finetuning and SETTINGS.finetuning.best_success_rate,
    shell:
        "hearth groups --config {resources.settings} 2>&1 | tee -i {log}"
