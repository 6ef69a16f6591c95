#!/usr/bin/env bash
# ABS as a whole: searched, fine-tuned, pruned filters gone from the file; resumed to the same bytes; its curve against another run.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
train=$BITPILOT_BIN/bitpilot-train bitpilot=$BITPILOT_BIN/bitpilot
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

small=(--set train_images=512 --set batch=64 --set evaluation_images=200 --set calibration_images=256 --set checkpoint_steps=3
       --set float.epochs=1 --set supernet.0.epochs=1 --set supernet.1.epochs=1)
search() { "$train" train --config "$BITPILOT_SOURCE/experiments/configs/abs_fashion_mnist.json" "${small[@]}" "$@" --quiet; }
dear=(--set name=dear --set method.lambda=10 --set method.rate=1000)

search "${dear[@]}" --out "$work/dear" >"$work/dear.log" 2>&1 || { cat "$work/dear.log"; exit 1; }
search --set name=free --set method.lambda=0 --float-from "$work/dear" --out "$work/free" >"$work/free.log" 2>&1 || { cat "$work/free.log"; exit 1; }
python3 - "$work" <<'PY' || fail "summaries"
import json, os, sys
dear, free = (json.load(open(f"{sys.argv[1]}/{run}/summary.json"))["method"] for run in ("dear", "free"))
assert free["layers"] == [[8, 8]] * 8 and free["of_uniform8"] == 1 and free["macs"]["pruned"] == free["macs"]["whole"], free
assert dear["of_uniform4"] < 0.5 and dear["macs"]["pruned"] < dear["macs"]["whole"], dear
whole, pruned = dear["size"]["whole"], dear["size"]["pruned"]
assert pruned["float_raw_bytes"] == whole["float_raw_bytes"] and pruned["times_smaller"] > whole["times_smaller"], dear["size"]
assert any(len(layer) == 3 for layer in dear["layers"]), dear["layers"]
assert os.path.getsize(f"{sys.argv[1]}/dear/model.safetensors") < 0.5 * os.path.getsize(f"{sys.argv[1]}/free/model.safetensors")
floats = [json.load(open(f"{sys.argv[1]}/{run}/summary.json"))["float"] for run in ("dear", "free")]
assert floats[0] == floats[1], floats  # the float network is whole in both
anchor = json.load(open(f"{sys.argv[1]}/dear/summary.json"))["anchors"]["abs"]
assert abs(anchor["bops"] / dear["bops"] - 1) < 1e-9, (anchor["bops"], dear["bops"])
assert abs(anchor["relative"] / dear["of_pruned_uniform8"] - 1) < 1e-9 and dear["of_pruned_uniform8"] > dear["of_uniform8"], (anchor, dear)
PY

# A file offers what it stores: the found bits, and what follows from 8-bit codes.
for run in dear free; do "$bitpilot" inspect "$work/$run/model.safetensors" --json "$work/$run.json" >"$work/log" 2>&1 || { cat "$work/log"; fail "inspect of $run"; }; done
python3 - "$work" <<'PY' || fail "what the files offer"
import json, sys
for run in ("dear", "free"):
    described = json.load(open(f"{sys.argv[1]}/{run}.json"))
    layers, (anchor,) = described["network"]["layers"][1:-1], described["anchors"]
    for layer, (weight, value, _) in zip(layers, anchor["bits"], strict=True):
        stored = layer["stored_bits"]
        assert stored == weight and layer["weight_bits"] == ([stored] if stored < 8 else [2, 4, 8]), layer
        assert layer["bits"] == (sorted({weight, value}) if stored < 8 else [2, 4, 8]), layer
PY
"$bitpilot" eval --model "$work/dear/model.safetensors" --data fashion-mnist --limit 20 --bits 8 --quiet >"$work/log" 2>&1
[ $? -eq 2 ] && grep -q '8/8 bits are not offered' "$work/log" || fail "8 bits of a file of 2-bit weights: $(cat "$work/log")"
"$bitpilot" eval --model "$work/dear/model.safetensors" --data fashion-mnist --limit 20 --bits abs --quiet >"$work/log" 2>&1 || { cat "$work/log"; fail "the found bits"; }

# Killed while it searches (steps 9 to 16) or fine-tunes (17 to 24), resumed from the checkpoint.
for when in 'search step-000000\(09\|1[0-5]\)' 'tuning step-000000\(19\|2\)'; do
  cut=$work/cut_${when%% *}
  search "${dear[@]}" --float-from "$work/dear" --out "$cut" >"$cut.log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null && ! ls "$cut/checkpoints" 2>/dev/null | grep -q "${when#* }"; do sleep 0.05; done
  kill -9 "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  search "${dear[@]}" --float-from "$work/dear" --out "$cut" --resume >>"$cut.log" 2>&1 || { cat "$cut.log"; fail "the resume"; }
  for file in model.safetensors summary.json; do cmp "$work/dear/$file" "$cut/$file" || fail "$file differs after a kill in ${when%% *}"; done
done

"$train" curve --series dear="$work/dear" --series both="$work/free,$work/dear" --series free="$work/free" --json "$work/curve.json" --svg "$work/curve.svg" >"$work/curve.log" 2>&1 ||
  { cat "$work/curve.log"; fail "the curve"; }
python3 - "$work/curve.json" <<'PY' || fail "the curve's record"
import json, sys
curve = json.load(open(sys.argv[1]))
assert curve["schema"] == "bitpilot.curve/1" and curve["split"] == "test"
assert [len(series["points"]) for series in curve["series"]] == [1, 2, 1]
assert curve["series"][0]["points"][0]["lambda"] == 10 and curve["series"][1]["points"][0]["lambda"] == 0
gain, dearer = curve["gains"]
assert gain["cost"] == "equal" and dearer["cost"] == "less than any of theirs", (gain["cost"], dearer["cost"])
for which in ("seen", "held_out", "clean"):
    # At its own cost the mix of both is the same run: no difference at all.
    assert gain[which]["gain"]["mean"] == 0 and gain[which]["low"] == "dear/abs", gain[which]
    assert dearer[which]["low"] == "free/abs", dearer[which]  # compared all the same: it has more to spend
PY
"$train" curve --series free="$work/free" --series dear="$work/dear" --json "$work/off.json" >"$work/off.log" 2>&1 || { cat "$work/off.log"; fail "the curve off the hull"; }
python3 - "$work/off.json" <<'PY' || fail "a point dearer than all that it is compared with has a gain"
import json, sys
gain, = json.load(open(sys.argv[1]))["gains"]
assert gain["cost"] == "more than any of theirs" and "seen" not in gain, gain
PY
# A second seed is the same point once more, and all that is compared must have it.
cp -r "$work/dear" "$work/dear1" && sed -i 's/"seed": 0/"seed": 1/' "$work/dear1/recipe.json"
"$train" curve --series dear="$work/dear,$work/dear1" --series same="$work/dear1,$work/dear" --json "$work/seeds.json" >"$work/bad.log" 2>&1
[ $? -eq 2 ] && grep -q 'other seeds' "$work/bad.log" || fail "seeds in another order: $(cat "$work/bad.log")"
"$train" curve --series dear="$work/dear,$work/dear" --json "$work/seeds.json" >"$work/bad.log" 2>&1
[ $? -eq 2 ] && grep -q 'twice' "$work/bad.log" || fail "a run twice: $(cat "$work/bad.log")"
"$train" curve --series dear="$work/dear,$work/dear1" --json "$work/seeds.json" >"$work/seeds.log" 2>&1 || { cat "$work/seeds.log"; fail "the curve of two seeds"; }
python3 - "$work/curve.json" "$work/seeds.json" <<'PY' || fail "the curve of two seeds"
import json, sys
one, two = (json.load(open(file))["series"][0]["points"] for file in sys.argv[1:])
assert len(two) == 1 and two[0]["seeds"] == [0, 1] and two[0]["bops"] == one[0]["bops"], two
assert two[0]["seen"]["accuracy"] == one[0]["seen"]["accuracy"] and two[0]["seen"]["images"] == one[0]["seen"]["images"], (one, two)
# The same answers twice tell no more than once: the interval is over pictures, not over rows.
width = lambda point: point["seen"]["accuracy_ci95"][1] - point["seen"]["accuracy_ci95"][0]
assert 0.85 < width(two[0]) / width(one[0]) < 1.2, (one, two)
PY
for set in 'seen families' 'held-out families' 'clean pictures'; do
  grep -q "class=\"title\">Accuracy over cost, $set (test split)" "$work/curve.svg" || fail "no panel of the $set"
done
"$train" curve --series nothing --json - >"$work/bad.log" 2>&1
[ $? -eq 2 ] && grep -q 'NAME=DIR' "$work/bad.log" || fail "a series without runs: $(cat "$work/bad.log")"
"$train" curve --series x="$work/dear" --split train --json - >"$work/bad.log" 2>&1
[ $? -eq 2 ] || fail "an unknown split: $(cat "$work/bad.log")"
# What the recipe alone can tell is refused before anything is trained.
refuse() {  # WORD SETTING…
  search "${@:2}" --out "$work/refused" >"$work/bad.log" 2>&1
  [ $? -eq 2 ] && grep -q "$1" "$work/bad.log" && [ ! -e "$work/refused" ] || fail "${*:2}: $(cat "$work/bad.log")"
}
refuse 'take \[2, 4, 8\]' --set method.ladder=[2,3]
refuse 'ReLU' --set backbone=mobilenet_v2
refuse 'policy.enabled' --set policy.enabled=true
exit $failed
