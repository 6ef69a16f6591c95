#!/usr/bin/env bash
# Every rival learns against a small trained run and leaves a whole record; the same call leaves the same record.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
train=$BITPILOT_BIN/bitpilot-train
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

"$train" train --config "$BITPILOT_SOURCE/experiments/configs/smoke.json" --out "$work/run" --quiet >"$work/train.log" 2>&1 ||
  { cat "$work/train.log"; exit 1; }
rival() { "$train" rivals --run "$work/run" --memory "$work/memory" --method "$@"; }

declare -A evaluations=([hybrid]=0 [reinforce]=4000 [ppo]=4000 [ddpg]=6000 [gumbel]=256 [fracbits]=256 [bucket]=0 [random]=0 [oracle]=0 [cascade]=0)
for method in "${!evaluations[@]}"; do
  rival "$method" --evaluations "${evaluations[$method]}" --json "$work/$method.json" >"$work/$method.log" 2>&1 || { cat "$work/$method.log"; fail "$method"; }
  python3 - "$work/$method.json" "$method" <<'PY' || fail "record of $method"
import json, sys
record = json.load(open(sys.argv[1]))
assert record["schema"] == "bitpilot.rival/1" and record["method"] == sys.argv[2], record["schema"]
assert sorted(record["sets"]) == ["clean", "held_out", "seen"]
for set_ in [record["validation"], *record["sets"].values()]:
    assert 0 < set_["relative"] < 2 and set_["accuracy_ci95"][0] <= set_["accuracy"] <= set_["accuracy_ci95"][1]
    for rival in ("hull", "cascade", "random_bits"):
        low, high = set_[rival]["gain"]["ci95"]
        assert low <= set_[rival]["gain"]["mean"] <= high
learns = sys.argv[2] not in ("random", "oracle")
assert (record["evaluations"] > 0) == learns and (len(record["curve"]) > 0) == learns
if sys.argv[2] in ("ddpg", "fracbits"):
    assert record["details"]["relative"] <= 1.01 * record["details"]["budget"], record["details"]
PY
done

# Nobody passes who knows the answers.
python3 - "$work" <<'PY' || fail "oracle"
import json, sys
reward = {m: json.load(open(f"{sys.argv[1]}/{m}.json"))["validation"]["reward"] for m in ("oracle", "hybrid", "ppo", "reinforce", "bucket", "cascade")}
assert all(value <= reward["oracle"] for value in reward.values()), reward
PY

rival ppo --evaluations 4000 --json "$work/again.json" >"$work/again.log" 2>&1 || fail "ppo, once more"
timeless() { python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); [p.pop("seconds") for p in [r,*r["curve"]]]; r.pop("pass_seconds"); print(json.dumps(r))' "$1"; }
[ "$(timeless "$work/ppo.json")" = "$(timeless "$work/again.json")" ] || fail "the same call left another record"

rival nobody --json - >"$work/nobody.log" 2>&1
[ $? -eq 2 ] && grep -q 'give one of hybrid' "$work/nobody.log" || fail "an unknown method: $(cat "$work/nobody.log")"
"$train" rivals --run "$work/none" --method ppo --json - >"$work/none.log" 2>&1
[ $? -eq 3 ] || fail "a run that is not there: $(cat "$work/none.log")"
exit $failed
