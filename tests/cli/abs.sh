#!/usr/bin/env bash
# ABS as a whole: searched, fine-tuned, pruned filters gone from the file; resumed to the same bytes; its curve against another run.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
train=$BITPILOT_BIN/bitpilot-train
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
PY

# Killed while it fine-tunes (steps 16 to 24), resumed from the checkpoint.
search "${dear[@]}" --float-from "$work/dear" --out "$work/cut" >"$work/cut.log" 2>&1 &
pid=$!
while kill -0 "$pid" 2>/dev/null && ! ls "$work/cut/checkpoints" 2>/dev/null | grep -q 'step-000000\(19\|2\)'; do sleep 0.05; done
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
search "${dear[@]}" --float-from "$work/dear" --out "$work/cut" --resume >>"$work/cut.log" 2>&1 || { cat "$work/cut.log"; fail "the resume"; }
for file in model.safetensors summary.json; do cmp "$work/dear/$file" "$work/cut/$file" || fail "$file differs after a kill"; done

"$train" curve --series dear="$work/dear" --series both="$work/free,$work/dear" --json "$work/curve.json" --svg "$work/curve.svg" >"$work/curve.log" 2>&1 ||
  { cat "$work/curve.log"; fail "the curve"; }
python3 - "$work/curve.json" <<'PY' || fail "the curve's record"
import json, sys
curve = json.load(open(sys.argv[1]))
assert curve["schema"] == "bitpilot.curve/1" and curve["split"] == "test"
assert [len(series["points"]) for series in curve["series"]] == [1, 2]
assert curve["series"][0]["points"][0]["lambda"] == 10 and curve["series"][1]["points"][0]["lambda"] == 0
gain, = curve["gains"]
for which in ("seen", "held_out", "clean"):
    # At its own cost the mix of both is the same run: no difference at all.
    assert gain[which]["gain"]["mean"] == 0 and gain[which]["low"] == "dear/abs", gain[which]
PY
grep -q '<svg' "$work/curve.svg" || fail "no picture"
"$train" curve --series nothing --json - >"$work/bad.log" 2>&1
[ $? -eq 2 ] && grep -q 'NAME=DIR' "$work/bad.log" || fail "a series without runs: $(cat "$work/bad.log")"
"$train" curve --series x="$work/dear" --split train --json - >"$work/bad.log" 2>&1
[ $? -eq 2 ] || fail "an unknown split: $(cat "$work/bad.log")"
# What the recipe alone can tell is refused before anything is trained.
refuse() {  # WORD SETTING…
  search "${@:2}" --out "$work/refused" >"$work/bad.log" 2>&1
  [ $? -eq 3 ] && grep -q "$1" "$work/bad.log" && [ ! -e "$work/refused/float.safetensors" ] || fail "${*:2}: $(cat "$work/bad.log")"
}
refuse 'take \[2, 4, 8\]' --set method.ladder=[2,3]
refuse 'ReLU' --set backbone=mobilenet_v2
refuse 'policy.enabled' --set policy.enabled=true
exit $failed
