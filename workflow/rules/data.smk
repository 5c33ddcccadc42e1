# Demonstrations to prepared episodes and statistics.


rule demonstrations:
    output:
        RESULTS.demonstrations("{task}"),
    params:
        section=SETTINGS.demonstrations and SETTINGS.demonstrations.model_dump(mode="json"),
        seed=SETTINGS.seed,
        benchmark=BENCHMARK.name,
    log:
        RESULTS.log("demonstrations", "{task}"),
    threads: workflow.cores or 1
    shell:
        "{HEARTH} demos --config {FROZEN} --task {wildcards.task} --workers {threads} --log {log}"


rule dataset_index:
    input:
        expand(RESULTS.demonstrations("{task}"), task=TASKS),
    output:
        RESULTS.dataset_index,
    log:
        RESULTS.log("demonstrations", "index"),
    shell:
        "{HEARTH} demos --config {FROZEN} --index --log {log}"


rule prepare:
    input:
        RESULTS.demonstrations("{task}") if EXPERTS else [],
    output:
        RESULTS.prepared("{task}"),
    params:
        section=SETTINGS.data.model_dump(mode="json"),
        seed=SETTINGS.seed,
        benchmark=BENCHMARK.name,
    log:
        RESULTS.log("prepare", "{task}"),
    threads: 2
    shell:
        "{HEARTH} prepare --config {FROZEN} --task {wildcards.task} --workers {threads} --log {log}"


rule statistics:
    input:
        expand(RESULTS.prepared("{task}"), task=TASKS),
    output:
        RESULTS.statistics,
    params:
        section=SETTINGS.statistics.model_dump(mode="json"),
    log:
        RESULTS.log("statistics", "statistics"),
    threads: workflow.cores or 1
    shell:
        "{HEARTH} statistics --config {FROZEN} --log {log}"
