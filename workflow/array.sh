#!/bin/bash
#SBATCH --job-name=wisesr
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --requeue
# The grid without an engine: a task a row. What is done leaves the list, so these lines are also for what has failed.
#   python -m wisesr_helpers.studies.plan scale=paper > rows.txt
#   sbatch --array=1-$(wc -l < rows.txt) workflow/array.sh rows.txt
eval "$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")"
