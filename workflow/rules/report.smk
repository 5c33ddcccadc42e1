# Tables, figures and the page.


rule leaderboard:
    input:
        expand(
            RESULTS.task_result("{evaluation}", "{task}"),
            evaluation=SETTINGS.evaluations,
            task=TASKS,
        ),
        # What `hearth import-results` brought in stands on the same tables.
        [RESULTS.imported(name) for name in RESULTS.imported_evaluations()],
    output:
        RESULTS.leaderboard / "leaderboard.csv",
        RESULTS.leaderboard / "tasks.csv",
        RESULTS.leaderboard / "index.html",
    log:
        RESULTS.log("report", "leaderboard"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.report.model_dump(mode="json"),
    shell:
        "hearth report --config {resources.settings} 2>&1 | tee -i {log}"
