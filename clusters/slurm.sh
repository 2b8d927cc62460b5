#!/usr/bin/env bash
# A search on a Slurm cluster: one Ray over the nodes of a job, which goes on after pre-emption and after its time limit.
# Edit the lines of #SBATCH for your site; then, from the project's folder, which all nodes see with its .venv:
#
#   source .venv/bin/activate
#   sbatch --nodes=4 clusters/slurm.sh /shared/runs/first \
#       --data /shared/data/fer2013 --backbone resnet18 --trials 100 --epochs 40
#   tail -f fer-tune-JOBID.log ; scancel JOBID
#
# The first argument is the run folder, on storage that all nodes see; the rest goes to `fer-tune search`. Where the run
# folder holds a search already, `fer-tune resume` goes on with it: so may you, by the same command.
#
# Before the time limit Slurm sends TERM to this script (--signal). The search saves its state as at Ctrl-C, and the job
# puts itself into the queue again. A pre-empted job (--requeue) comes back by itself, and an epoch per trial is lost.
#
# Why not `ray symmetric-run`: in Ray 2.60 it gives all nodes 30 seconds, ends with 0 where `ray start` failed, and ends
# every Ray of the user on its nodes, also that of another job.
#
#SBATCH --job-name=fer-tune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@180
#SBATCH --output=fer-tune-%j.log

set -euo pipefail

if [ $# -lt 1 ]; then
    echo "usage: sbatch clusters/slurm.sh RUN_FOLDER [options of fer-tune search]" >&2
    exit 2
fi
run=$1
shift
case $run in
    /*) ;;
    *) echo "$run: the run folder is given by its absolute path, which all nodes see" >&2; exit 2 ;;
esac

# A token of this job alone, in a file that its user alone reads, in the home folder that all nodes see.
umask 077
mkdir -p "$HOME/.ray"
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="$HOME/.ray/fer-tune-$SLURM_JOB_ID"
head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH"

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=$(head -n 1 <<< "$nodes")
address=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" hostname -I | cut -d' ' -f1)
port=$((20000 + SLURM_JOB_ID % 20000)) # two jobs may share a node
export RAY_ADDRESS="$address:$port"

cpus=${SLURM_CPUS_PER_TASK:-1}
ray_options=(--block --disable-usage-stats --num-cpus "$cpus") # else Ray counts the whole node, not our share
steps=()
driver=
interrupted=

# shellcheck disable=SC2317,SC2329 # the trap calls it; the number depends on the version
clean_up() { # srun passes TERM on to the step's own tasks, so to this job's Ray alone
    local step left
    for _ in {1..50}; do
        left=
        for step in "${steps[@]}"; do if kill "$step" 2> /dev/null; then left=yes; fi; done
        [ -n "$left" ] || break
        sleep 0.2
    done
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap clean_up EXIT
trap 'interrupted=yes; if [ -n "$driver" ]; then kill -TERM "$driver" 2> /dev/null || true; fi' TERM

# The nodes must reach the dashboard: Ray Train asks it when a trial of several workers ends early.
srun --overlap --nodes=1 --ntasks=1 --cpus-per-task="$cpus" --nodelist="$first" \
    ray start --head --node-ip-address="$address" --port="$port" --dashboard-host="$address" \
    --dashboard-port=$((port + 20000)) --ray-client-server-port=$((port + 25500)) --min-worker-port=0 \
    --max-worker-port=0 --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${ray_options[@]}" &
steps+=($!)

if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    # shellcheck disable=SC2016 # the node's own shell reads $RAY_ADDRESS
    srun --overlap --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) \
        --cpus-per-task="$cpus" --exclude="$first" \
        bash -c 'for attempt in {1..30}; do ray health-check --address "$RAY_ADDRESS" && break; sleep 2; done
                 exec ray start --address="$RAY_ADDRESS" "$@"' ray "${ray_options[@]}" &
    steps+=($!)
fi

follow() { # run a command as the driver, so that a TERM reaches it, and return its exit code
    if [ -n "$interrupted" ]; then return 130; fi
    "$@" &
    driver=$!
    local code=0 second=0
    wait "$driver" || code=$?
    if [ -n "$interrupted" ]; then # the signal ended the wait, not the driver
        wait "$driver" 2> /dev/null || second=$?
        [ "$second" = 127 ] || code=$second
    fi
    driver=
    return "$code"
}

for attempt in {1..30}; do # the head needs some seconds
    ray health-check --address "$RAY_ADDRESS" > /dev/null 2>&1 && break
    [ "$attempt" = 30 ] && { echo "Ray's head did not start on $first" >&2; exit 1; }
    sleep 2
done

code=0
follow python -m clusters.wait_for --nodes "$SLURM_JOB_NUM_NODES" --timeout 300 || code=$?
if [ "$code" = 0 ]; then
    if [ -e "$run/search.yaml" ]; then
        follow fer-tune resume "$run" || code=$?
    else
        follow fer-tune search --storage "$(dirname "$run")" --name "$(basename "$run")" "$@" || code=$?
    fi
fi

if [ -n "$interrupted" ] && [ "$code" != 0 ]; then
    echo "interrupted; the job goes into the queue again and will resume $run"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
