#!/usr/bin/env bash
# A session of pytest-perfgate on a Slurm cluster: sbatch docs/fleet/slurm.sh
# The first host measures, and nothing of Ray stays on it; the others build. All hosts are of one kind and share the folder
# that the job is submitted from, with the virtual environment .venv in it (extra "fleet").
#SBATCH --job-name=perfgate
#SBATCH --nodes=5
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=02:00:00
set -euo pipefail

. .venv/bin/activate
export RAY_USAGE_STATS_ENABLED=0
# Who has the token can run code on all nodes: the file is this user's alone.
umask 077
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$HOME/.perfgate-ray-$SLURM_JOB_ID
python -c 'import secrets; print(secrets.token_hex(32))' > "$RAY_AUTH_TOKEN_PATH"
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts[1]}
on() {
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$1" "${@:2}"
}
on "$head" ray start --head --port=6379 --ray-client-server-port=10001 --include-dashboard=false --block &
for _ in {1..60}; do
    on "$head" ray status > /dev/null 2>&1 && break
    sleep 2
done
for host in "${hosts[@]:2}"; do
    on "$host" ray start --address="$head:6379" --block &
done

# The end of the job ends Ray on the other hosts.
pytest --perf --perf-strict --perf-fleet="ray://$head:10001" "$@"
