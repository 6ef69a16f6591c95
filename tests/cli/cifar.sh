#!/usr/bin/env bash
# The recipes for CIFAR-10 and CIFAR-100 train a step on files of those formats and finish with all that their method promises.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
train=$BITPILOT_BIN/bitpilot-train bitpilot=$BITPILOT_BIN/bitpilot
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# Pictures of random blocks, every class in its own brightness, as the binary versions of both data sets hold them.
python3 - "$work" <<'PYTHON' || exit 1
import os, random, sys
random.seed(1)
def records(count, classes, coarse):
    out = bytearray()
    for i in range(count):
        label = i % classes
        out += bytes([label % 20, label]) if coarse else bytes([label])
        for plane in range(3):
            level = 40 + (label * (37 + 11 * plane)) % 160
            rows = [bytes(min(255, level + random.randrange(40)) for _ in range(32)) for _ in range(8)]
            out += b"".join(rows[y // 4] for y in range(32))
    return bytes(out)
ten, hundred = os.path.join(sys.argv[1], "cifar10"), os.path.join(sys.argv[1], "cifar100")
os.mkdir(ten)
os.mkdir(hundred)
for batch in range(1, 6):
    open(f"{ten}/data_batch_{batch}.bin", "wb").write(records(60, 10, False))
open(f"{ten}/test_batch.bin", "wb").write(records(40, 10, False))
open(f"{hundred}/train.bin", "wb").write(records(300, 100, True))
open(f"{hundred}/test.bin", "wb").write(records(100, 100, True))
PYTHON

step=(--set batch=16 --set train_images=16 --set evaluation_images=0 --set calibration_images=64 --set float.epochs=1 --set supernet.epochs=1
      --threads 2 --quiet)
timed() {  # RUN PARTS: the parts of it that seconds.json knows
  [ "$(grep -o '"[a-z]*"' "$1/seconds.json" | tr -d '\n')" = "$2" ] || fail "$1 timed $(cat "$1/seconds.json"), not $2"
}
for set in cifar10 cifar100; do
  recipe=$BITPILOT_SOURCE/experiments/configs/rfquant_$set.json
  "$train" train --config "$recipe" --data "$work/$set" "${step[@]}" --set method.controls=1 --set method.budget=0.5 --out "$work/rfquant_$set" >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "rfquant_$set.json"; }
  grep -q '"random_mean"' "$work/rfquant_$set/summary.json" || fail "rfquant_$set.json searched nothing"
  timed "$work/rfquant_$set" '"finalists""float""policy""search""supernet"'
  recipe=$BITPILOT_SOURCE/experiments/configs/eqnet_$set.json
  "$train" train --config "$recipe" --data "$work/$set" "${step[@]}" --set method.subnets=16 --set method.random=2 --set method.controls=1 --set method.generations=20 \
    --out "$work/eqnet_$set" >"$work/log" 2>&1 || { cat "$work/log"; fail "eqnet_$set.json"; }
  grep -q '"kendall_in_bands"' "$work/eqnet_$set/summary.json" || fail "eqnet_$set.json has no predictor"
  # Three Forms beside the default one, a file for each of seven widths; any of them is a model like another.
  [ "$(ls "$work/eqnet_$set/forms" | wc -l)" = 21 ] || fail "eqnet_$set.json: files of Forms: $(ls "$work/eqnet_$set/forms")"
  "$bitpilot" eval --model "$work/eqnet_$set/forms/tensor_asymmetric-u3.safetensors" --data "$work/$set" --bits 3 --quiet --json "$work/eval.json" \
    >"$work/log" 2>&1 || { cat "$work/log"; fail "eval of a Form of eqnet_$set.json"; }
  python3 - "$work/eqnet_$set/summary.json" "$work/eval.json" <<'PYTHON' || fail "eqnet_$set.json: the summary's Form and its file differ"
import json, sys
said = json.load(open(sys.argv[1]))["method"]["forms"]["tensor/asymmetric"]["u3"]["clean"]
found = json.load(open(sys.argv[2]))["accuracy"]
sys.exit(f"{said} in the summary, {found} by eval" if abs(said - found) > 1e-6 else 0)
PYTHON
done

# RFQuant without a search ends with its uniform paths.
"$train" train --config "$BITPILOT_SOURCE/experiments/configs/rfquant_cifar10.json" --data "$work/cifar10" "${step[@]}" --set method.budget=0 \
  --float-from "$work/rfquant_cifar10" --out "$work/uniform" >"$work/log" 2>&1 || { cat "$work/log"; fail "RFQuant without a search"; }
python3 - "$work" <<'PYTHON' || fail "RFQuant without a search: the summary"
import json, sys
uniform, searched = (json.load(open(f"{sys.argv[1]}/{run}/summary.json")) for run in ("uniform", "rfquant_cifar10"))
assert "method" not in uniform and "method" in searched
assert set(searched["anchors"]) - set(uniform["anchors"]) == {"searched"}, uniform["anchors"]
PYTHON
timed "$work/uniform" '"policy""supernet"'
exit $failed
