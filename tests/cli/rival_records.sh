#!/usr/bin/env bash
# Every learner whose record is kept is better than random bits of the same cost on the real network, on every set: its interval lies above 0.
set -u
source_dir=${BITPILOT_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() {  # check FOLDER: says which records do not hold, and fails
  python3 - "$1" <<'PY'
import glob, json, sys
records = []
for path in sorted(glob.glob(f"{sys.argv[1]}/*.json")):
    record = json.load(open(path))
    if isinstance(record, dict) and record.get("metrics", {}).get("schema") == "bitpilot.rival/1" and record["metrics"]["method"] != "random":
        records.append((path, record["metrics"]))
mistakes = [] if records else ["there is no record of a rival"]
for path, metrics in records:
    for name, judged in metrics["sets"].items():
        random = judged["random_bits"]
        # Bits are drawn by odds that cost as much on average; what is left is the luck of the draw.
        if abs(random["relative"] / judged["relative"] - 1) > 0.02:
            mistakes.append(f"{path}: on {name} random bits cost {random['relative']}, not {judged['relative']}")
        if random["gain"]["ci95"][0] <= 0:
            mistakes.append(f"{path}: on {name} no better than random bits of its cost: {random['gain']['ci95']}")
print("\n".join(mistakes) or f"{len(records)} records hold")
sys.exit(bool(mistakes))
PY
}

check "$source_dir/experiments/results" || { echo "FAILED: a kept rival is no better than random bits"; exit 1; }

# The check itself: a gain that touches 0, a cost that is not the rival's, and no record at all are seen.
cp "$source_dir/experiments/results/hybrid-s0-hybrid.json" "$work"
for change in '["gain"]["ci95"][0] = 0' '["relative"] *= 1.05'; do
  python3 - "$source_dir/experiments/results/hybrid-s0-hybrid.json" "$work/hybrid-s0-hybrid.json" "$change" <<'PY'
import json, sys
record = json.load(open(sys.argv[1]))
exec('record["metrics"]["sets"]["clean"]["random_bits"]' + sys.argv[3])
json.dump(record, open(sys.argv[2], "w"))
PY
  check "$work" >"$work/log" && { cat "$work/log"; echo "FAILED: $change is not seen"; exit 1; }
done
rm "$work/hybrid-s0-hybrid.json"
check "$work" >"$work/log" && { echo "FAILED: no record is not seen"; exit 1; }
exit 0
