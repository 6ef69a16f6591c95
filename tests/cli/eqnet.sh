#!/usr/bin/env bash
# EQ-Net from the recipe to its files: every Form is exported and runs, a killed training ends in the same bytes, bad settings are told.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
train=$BITPILOT_BIN/bitpilot-train bitpilot=$BITPILOT_BIN/bitpilot
recipe=$BITPILOT_SOURCE/experiments/configs/smoke.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

small=(--config "$recipe" --quiet --set float.epochs=1 --set train_images=1024 --set evaluation_images=100 --set calibration_images=128
       --set policy.enabled=false)
eqnet=("${small[@]}" --set 'supernet={"epochs": 2, "random_paths": 2, "paths": ["full8"]}' --set 'paths=[{"name": "full8"}, {"name": "u4", "weight": 4}]'
       --set 'method={"name": "eqnet", "subnets": 16, "random": 3, "controls": 2, "budget": 0.5, "pictures": 64, "generations": 20}')
"$train" train "${eqnet[@]}" --out "$work/whole" >"$work/log" 2>&1 || { cat "$work/log"; fail "the whole training"; }

# Kills after the first steps, in the second epoch and near the end of the supernet (16 steps an epoch, float ones first); one thread.
for target in 21 35 42; do
  "$train" train "${eqnet[@]}" --out "$work/cut" --resume --threads 1 >>"$work/cut.log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    last=$(ls "$work/cut/checkpoints" 2>/dev/null | grep -o 'step-[0-9]*' | sort | tail -n 1)
    [ "$((10#${last:5}0 / 10))" -ge "$target" ] 2>/dev/null && break
    sleep 0.02
  done
  kill -9 "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
done
"$train" train "${eqnet[@]}" --out "$work/cut" --resume --threads 1 >>"$work/cut.log" 2>&1 || { cat "$work/cut.log"; fail "the last resume"; }
for file in model.safetensors metrics.jsonl summary.json subnets.json; do
  cmp "$work/whole/$file" "$work/cut/$file" || fail "$file differs after kills"
done
diff -r "$work/whole/forms" "$work/cut/forms" || fail "exported Forms differ after kills"
diff -r "$work/whole/checkpoints" "$work/cut/checkpoints" || fail "checkpoints differ after kills"

# Every Form but the default one has a file for each path, no two of them are one model, and each runs.
[ "$(ls "$work/whole/forms" | wc -l)" = 6 ] || fail "files: $(ls "$work/whole/forms")"
[ "$(cd "$work/whole/forms" && sha256sum -- *-u4.safetensors | cut -d ' ' -f 1 | sort -u | wc -l)" = 3 ] || fail "Forms alike"
for form in channel_asymmetric tensor_symmetric tensor_asymmetric; do
  "$bitpilot" eval --model "$work/whole/forms/$form-u4.safetensors" --data fashion-mnist --bits 4 --limit 20 --quiet >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "eval of $form"; }
done
"$bitpilot" inspect "$work/whole/model.safetensors" >"$work/log" 2>&1 && grep -q searched "$work/log" || fail "no anchor \"searched\""

# The search's winner is the best of the ten as integers, and what it gains over random ones is counted for it.
python3 - "$work/whole/summary.json" <<'PY' || fail "the record of the search"
import json, sys
summary = json.load(open(sys.argv[1]))
search = summary["method"]["validation"]
assert len(search["finalists"]) == 10 and -1 <= search["kendall"] <= 1 and search["images"] == summary["method"]["predictor"]["images"]["taught"] == 64, search
assert 100 + 20 * 75 <= search["predicted"] <= 100 + 20 * 98, search  # a hundred at first, then a generation's children
best = min(search["finalists"], key=lambda row: row["loss"])
assert {key: search[key] for key in best} == best, search
assert search["relative"] == summary["method"]["relative"] and abs(search["relative"] - summary["anchors"]["searched"]["relative"]) < 1e-9, search
assert search["random"]["best_loss"] > 0, search
for which, said in summary["method"]["against_random"].items():
    assert abs(said["found"] - said["random_mean"] - said["gain"]["mean"]) < 1e-9, (which, said)
PY
# A Form with a zero point travels as ONNX too.
"$train" export --model "$work/whole/forms/tensor_asymmetric-u4.safetensors" --format onnx --bits u4 --out "$work/u4.onnx" >"$work/log" 2>&1 && [ -s "$work/u4.onnx" ] ||
  { cat "$work/log"; fail "an asymmetric Form as ONNX"; }

# One Form alone is the model file itself.
"$train" train "${small[@]}" --float-from "$work/whole" --set 'supernet={"epochs": 1}' --set policy.reference= --set 'paths=[{"name": "u4", "weight": 4}]' \
  --set 'method={"name": "eqnet", "forms": ["tensor/asymmetric"], "guidance": false, "shape": 0, "subnets": 0}' --out "$work/alone" >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "one Form alone"; }
cmp "$work/alone/model.safetensors" "$work/alone/forms/tensor_asymmetric-u4.safetensors" || fail "the model of one Form is not that Form's"

# The same Form at the same bits, shared and alone: as both summaries say.
"$train" compare --run "$work/whole" --form "$work/alone" --json "$work/forms.json" >"$work/log" 2>&1 || { cat "$work/log"; fail "compare --form"; }
python3 - "$work" <<'PY' || fail "the record of Forms"
import json, sys
row, = json.load(open(f"{sys.argv[1]}/forms.json"))["forms"]
assert (row["form"], row["path"]) == ("tensor/asymmetric", "u4"), row
for which in ("seen", "held_out", "clean"):
    for run, name in (("whole", "shared"), ("alone", "alone")):
        said = json.load(open(f"{sys.argv[1]}/{run}/summary.json"))["method"]["forms"]["tensor/asymmetric"]["u4"][which]
        assert abs(row[which][name] - said) < 1e-9, (which, run, said, row)
    low, high = row[which]["difference"]["ci95"]
    assert row[which]["images"] == 100 and abs(row[which]["difference"]["mean"] - row[which]["shared"] + row[which]["alone"]) < 1e-9, row
    assert low <= row[which]["difference"]["mean"] <= high, row
PY
"$train" compare --run "$work/alone" --form "$work/whole" --json "$work/forms.json" >"$work/log" 2>&1
[ $? -eq 3 ] && grep -q 'not one Form' "$work/log" || fail "a run of several Forms as one: $(cat "$work/log")"

check() {  # check WORD METHOD FLAG…: refused with 2 (--set) and the word
  "$train" train "${eqnet[@]}" --set "method=$2" "${@:3}" --out "$work/x" >"$work/log" 2>"$work/err"
  local code=$?
  [ "$code" -eq 2 ] && grep -q -- "$1" "$work/err" || fail "$2: exit $code, want \"$1\": $(cat "$work/err")"
}
check 'tensor/asymmetric' '{"name": "eqnet", "forms": ["tensor/asymetric"]}'
check 'stands twice' '{"name": "eqnet", "forms": ["channel/symmetric", "channel/symmetric"]}'
check 'one path in one Form' '{"name": "eqnet", "forms": ["tensor/symmetric"], "subnets": 0}'
check 'guidance' '{"name": "eqnet", "guidence": true}'
check 'random_paths' '{"name": "eqnet"}' --set supernet.random_paths=1
check 'no method "eqnett"' '{"name": "eqnett"}'
check 'generations' '{"name": "eqnet", "generations": 0}'
check 'pictures' '{"name": "eqnet", "pictures": 15}'
# The same mistake in the file is bad data.
python3 - "$recipe" "$work/wrong.json" <<'PY'
import json, sys
json.dump({**json.load(open(sys.argv[1])), "method": {"name": "eqnet", "forms": ["tensor/asymetric"]}}, open(sys.argv[2], "w"))
PY
"$train" train --config "$work/wrong.json" --set float.epochs=1 --out "$work/x" >"$work/log" 2>"$work/err"
[ $? -eq 3 ] && grep -q 'tensor/asymmetric' "$work/err" || fail "a wrong Form in the file: $(cat "$work/err")"
[ -e "$work/x" ] && fail "a refused training left its folder"
exit $failed
