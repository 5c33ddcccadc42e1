# Tables, figures and the page.


rule leaderboard:
    input:
        expand(
            RESULTS.task_result("{evaluation}", "{task}"),
            evaluation=SETTINGS.evaluations,
            task=TASKS,
        ),
    output:
        RESULTS.leaderboard / "leaderboard.csv",
        RESULTS.leaderboard / "tasks.csv",
        RESULTS.leaderboard / "index.html",
    params:
        section=SETTINGS.report.model_dump(mode="json"),
    log:
        RESULTS.log("report", "leaderboard"),
    shell:
        "{HEARTH} report --config {FROZEN} --log {log}"
