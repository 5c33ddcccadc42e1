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
        # So do the failure labels that people saved.
        RESULTS.label_files(),
    output:
        report(
            RESULTS.leaderboard / "leaderboard.csv",
            caption="../report/leaderboard.rst",
            category="Leaderboard",
            labels={"table": "evaluations"},
        ),
        report(
            RESULTS.leaderboard / "tasks.csv",
            caption="../report/tasks.rst",
            category="Leaderboard",
            labels={"table": "tasks"},
        ),
        report(
            RESULTS.leaderboard / "comparisons.csv",
            caption="../report/comparisons.rst",
            category="Leaderboard",
            labels={"table": "comparisons"},
        ),
        report(
            RESULTS.leaderboard / "figures" / "scores-light.svg",
            caption="../report/scores.rst",
            category="Figures",
            labels={"figure": "q per task"},
        ),
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
