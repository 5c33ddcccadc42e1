# Training. Checkpoints are never declared: Snakemake deletes declared outputs before a new try,
# and a killed training must go on from its newest checkpoint.


rule train:
    input:
        statistics=RESULTS.statistics,
        tokenizer=lambda wildcards: (
            RESULTS.tokenizer if SETTINGS.for_run(wildcards.run).uses_tokenizer else []
        ),
        prepared=expand(RESULTS.prepared("{task}"), task=TASKS),
        index=sorted({dataset_index(task) for task in TASKS}),
    output:
        RESULTS.trained("{run}"),
    log:
        RESULTS.log("train", "{run}"),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        run=lambda wildcards: SETTINGS.run(wildcards.run).model_dump(mode="json"),
        model=lambda wildcards: SETTINGS.for_run(wildcards.run).model.model_dump(
            mode="json"
        ),
        facts=data_facts(BENCHMARK, BENCHMARK.task_names),
        command=launch_command("train"),
    shell:
        "hearth {params.command} --config {resources.settings} --run {wildcards.run} 2>&1 | tee -i {log}"
