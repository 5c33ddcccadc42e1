# Demonstrations to prepared episodes and statistics.


rule demonstrations:
    output:
        RESULTS.demonstrations("{task}"),
    log:
        RESULTS.log("demonstrations", "{task}"),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.demonstrations
        and SETTINGS.demonstrations.model_dump(mode="json"),
        seed=SETTINGS.seed,
        facts=lambda wildcards: data_facts(BENCHMARK, [wildcards.task], "train"),
    shell:
        "hearth demos --config {resources.settings} --task {wildcards.task} --workers {threads} 2>&1 | tee -i {log}"


rule dataset_index:
    input:
        expand(RESULTS.demonstrations("{task}"), task=TASKS),
    output:
        RESULTS.dataset_index,
    log:
        RESULTS.log("demonstrations", "index"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    shell:
        "hearth demos --config {resources.settings} --index 2>&1 | tee -i {log}"


rule prepare:
    input:
        demonstrations=RESULTS.demonstrations("{task}") if EXPERTS else [],
        # Ancient: another task's episodes change the index but not this task's.
        index=ancient(lambda wildcards: dataset_index(wildcards.task)),
    output:
        RESULTS.prepared("{task}"),
    log:
        RESULTS.log("prepare", "{task}"),
    conda:
        "../envs/hearth.yaml"
    # Tasks side by side first: a process more per task has to be started.
    threads: max(1, (workflow.cores or 1) // len(TASKS))
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.data.model_dump(mode="json"),
        seed=SETTINGS.seed,
        facts=lambda wildcards: data_facts(BENCHMARK, [wildcards.task]),
    shell:
        "hearth prepare --config {resources.settings} --task {wildcards.task} --workers {threads} 2>&1 | tee -i {log}"


rule task_statistics:
    input:
        RESULTS.prepared("{task}"),
    output:
        RESULTS.task_statistics("{task}"),
    log:
        RESULTS.log("statistics", "{task}"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.statistics.model_dump(mode="json"),
        facts=lambda wildcards: data_facts(BENCHMARK, [wildcards.task]),
    shell:
        "hearth statistics --config {resources.settings} --task {wildcards.task} 2>&1 | tee -i {log}"


rule statistics:
    input:
        expand(RESULTS.task_statistics("{task}"), task=TASKS),
    output:
        RESULTS.statistics,
    log:
        RESULTS.log("statistics", "statistics"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.statistics.model_dump(mode="json"),
        facts=data_facts(BENCHMARK, TASKS),
    shell:
        "hearth statistics --config {resources.settings} --workers {threads} 2>&1 | tee -i {log}"


rule tokenizer:
    input:
        statistics=RESULTS.statistics,
        prepared=expand(RESULTS.prepared("{task}"), task=TASKS),
    output:
        RESULTS.tokenizer,
    log:
        RESULTS.log("tokenizer", "tokenizer"),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.tokenizer.model_dump(mode="json"),
        vocabulary=SETTINGS.model.fast_vocabulary,
        seed=SETTINGS.seed,
    shell:
        "hearth tokenizer --config {resources.settings} 2>&1 | tee -i {log}"


# A run that measures otherwise, such as an ablation of the normalisation.
rule run_statistics:
    input:
        moments_of,
    output:
        RESULTS.variant("{run}").statistics,
    log:
        RESULTS.log("statistics", "run-{run}"),
    wildcard_constraints:
        run=one_of(OWN_STATISTICS),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        section=lambda wildcards: SETTINGS.for_run(
            wildcards.run
        ).statistics.model_dump(mode="json"),
        facts=data_facts(BENCHMARK, TASKS),
    shell:
        "hearth statistics --config {resources.settings} --run {wildcards.run} --workers {threads} 2>&1 | tee -i {log}"


rule run_tokenizer:
    input:
        statistics=RESULTS.variant("{run}").statistics,
        prepared=expand(RESULTS.prepared("{task}"), task=TASKS),
    output:
        RESULTS.variant("{run}").tokenizer,
    log:
        RESULTS.log("tokenizer", "run-{run}"),
    wildcard_constraints:
        run=one_of(OWN_STATISTICS),
    conda:
        "../envs/hearth.yaml"
    threads: workflow.cores or 1
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.tokenizer.model_dump(mode="json"),
        vocabulary=SETTINGS.model.fast_vocabulary,
        seed=SETTINGS.seed,
    shell:
        "hearth tokenizer --config {resources.settings} --run {wildcards.run} 2>&1 | tee -i {log}"
