# Training. Checkpoints are never declared: Snakemake deletes declared outputs before a new try,
# and a killed training must go on from its newest checkpoint.


rule train:
    input:
        statistics=RESULTS.statistics,
        prepared=expand(RESULTS.prepared("{task}"), task=TASKS),
        index=RESULTS.dataset_index if EXPERTS else [],
    output:
        RESULTS.trained("{run}"),
    params:
        run=lambda wildcards: SETTINGS.run(wildcards.run).model_dump(mode="json"),
        model=SETTINGS.model.model_dump(mode="json"),
    log:
        RESULTS.log("train", "{run}"),
    threads: workflow.cores or 1
    shell:
        "{HEARTH} train --config {FROZEN} --run {wildcards.run} --log {log}"
