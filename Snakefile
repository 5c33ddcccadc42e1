# demonstrations -> episodes -> statistics -> train -> evaluate -> leaderboard
#
#   snakemake --configfile config/demo.yaml --profile profiles/local
#
# The experiment stands in config/, the machine in profiles/. Each rule calls one `hearth`
# command that can be copied, pasted and debugged.


# Snakemake would merge a default file into the one that was asked for.
if "experiment" not in config:

    configfile: "config/demo.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/publish.smk"


rule all:
    input:
        rules.leaderboard.output,
