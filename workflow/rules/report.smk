# Tables, figures and the page.

# The full system and its variants; none unless the experiment has the section.
ABLATED = (
    [SETTINGS.ablations.base, *SETTINGS.ablations.variants]
    if SETTINGS.ablations
    else []
)


rule ablations:
    input:
        expand(
            RESULTS.task_result("{evaluation}", "{task}"),
            evaluation=ABLATED,
            task=TASKS,
        ),
    output:
        RESULTS.leaderboard / "ablations.csv",
        RESULTS.leaderboard / "ablations-light.svg",
        RESULTS.leaderboard / "ablations-dark.svg",
    log:
        RESULTS.log("report", "ablations"),
    conda:
        "../envs/hearth.yaml"
    resources:
        settings=FROZEN,
    params:
        section=SETTINGS.report.model_dump(mode="json"),
        ablations=SETTINGS.ablations and SETTINGS.ablations.model_dump(mode="json"),
    shell:
        "hearth ablations --config {resources.settings} 2>&1 | tee -i {log}"


rule leaderboard:
    input:
        expand(
            RESULTS.task_result("{evaluation}", "{task}"),
            evaluation=SETTINGS.evaluations,
            task=TASKS,
        ),
        rules.ablations.output if ABLATED else [],
        # What was played elsewhere stands on the same tables.
        [RESULTS.imported(name) for name in IMPORTED],
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
