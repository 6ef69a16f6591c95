#!/usr/bin/env bash
# A training that is killed at any point and resumed ends in the same bytes as one that was left alone.
set -u
[ "${BITPILOT_TRAINING:-ON}" = ON ] || { echo "skipped: built without the training side"; exit 0; }
train=$BITPILOT_BIN/bitpilot-train
recipe=$BITPILOT_SOURCE/experiments/configs/smoke.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

"$train" train --config "$recipe" --out "$work/whole" --quiet >"$work/whole.log" 2>&1 || { cat "$work/whole.log"; fail "the whole training"; }

# Kill after 1, 5, 9 … checkpoints, the last kills falling into later stages; checkpoints are named by step.
for target in 7 35 63 77 112; do
  "$train" train --config "$recipe" --out "$work/cut" --resume --quiet >>"$work/cut.log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    last=$(ls "$work/cut/checkpoints" 2>/dev/null | grep -o 'step-[0-9]*' | sort | tail -n 1)
    [ "$((10#${last:5}0 / 10))" -ge "$target" ] 2>/dev/null && break
    sleep 0.05
  done
  kill -9 "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
done
# And in the midst of the policy's fit, behind the last training step; a line of progress tells that it is there.
rm -f "$work/cut/summary.json" "$work/cut/model.safetensors" "$work/cut/policy.json"  # should the last kill have come too late
mkfifo "$work/lines"
"$train" train --config "$recipe" --out "$work/cut" --resume --quiet >>"$work/cut.log" 2>"$work/lines" &
pid=$!
told=no
while IFS= read -r line; do
  case $line in "policy: stop rule"*) told=yes; kill -9 "$pid"; break ;; esac
done <"$work/lines"
wait "$pid" 2>/dev/null
[ $told = yes ] || fail "no line told of the policy's fit"
for file in summary.json model.safetensors policy.json; do [ ! -e "$work/cut/$file" ] || fail "$file stands in the midst of the policy's fit"; done
[ -e "$work/cut/checkpoints/$(ls "$work/whole/checkpoints" | grep step | tail -n 1)" ] || fail "the policy's fit began before the last training step"
cp "$work/cut/seconds.json" "$work/seconds_before.json"
"$train" train --config "$recipe" --out "$work/cut" --resume --quiet >>"$work/cut.log" 2>&1 || { cat "$work/cut.log"; fail "the last resume"; }

for file in float.safetensors model.safetensors metrics.jsonl recipe.json policy.json summary.json; do
  cmp "$work/whole/$file" "$work/cut/$file" || fail "$file differs after kills"
done
diff -r "$work/whole/checkpoints" "$work/cut/checkpoints" || fail "checkpoints differ after kills"

# What it took adds up over the calls.  A finished run is left as it is, and is still refused under another recipe.
python3 - "$work" <<'PY' || fail "seconds.json"
import json, sys
whole, cut = (json.load(open(f"{sys.argv[1]}/{run}/seconds.json")) for run in ("whole", "cut"))
assert sorted(whole) == sorted(cut) == ["float", "policy", "supernet"], (whole, cut)
assert all(value > 0 for run in (whole, cut) for value in run.values()), (whole, cut)
before = json.load(open(f"{sys.argv[1]}/seconds_before.json"))  # the last call found the float network trained
assert before and all(cut[part] >= value > 0 for part, value in before.items()), (before, cut)
PY
touch "$work/before"
"$train" train --config "$recipe" --out "$work/cut" --resume --quiet >"$work/log" 2>&1 && grep -q 'holds the finished run' "$work/log" ||
  { cat "$work/log"; fail "a finished run, resumed"; }
[ -z "$(find "$work/cut" -newer "$work/before" -type f)" ] || fail "a finished run was touched: $(find "$work/cut" -newer "$work/before" -type f)"
"$train" train --config "$recipe" --set float.epochs=9 --out "$work/cut" --resume --quiet >"$work/log" 2>&1
[ $? -eq 3 ] && grep -q 'another recipe or data set: recipe/float/epochs' "$work/log" || { cat "$work/log"; fail "a finished run of another recipe"; }

# The last two checkpoints and the best one; TensorBoard's events once an epoch, none twice (only their times differ).
names=$(ls "$work/whole/checkpoints" | sed 's/step-[0-9]*/step/' | tr '\n' ' ')
[ "$names" = "best.safetensors step.safetensors step.safetensors " ] || fail "checkpoints: $names"
events=events.out.tfevents.run
[ "$(stat -c %s "$work/whole/$events")" = "$(stat -c %s "$work/cut/$events")" ] || fail "events are lost or written twice after kills"
tags() { strings -n 8 "$1" | grep -o 'float/loss/[a-z0-9]*\|supernet2*/loss/[a-z0-9]*\|[a-z0-9]*/learning_rate' | LC_ALL=C sort | uniq -c | awk '{print $2 "x" $1}' | tr '\n' ' '; }
[ "$(tags "$work/whole/$events")" = "float/learning_ratex2 float/loss/floatx2 supernet/learning_ratex1 supernet/loss/u4x1 supernet2/learning_ratex1 supernet2/loss/full8x1 supernet2/loss/half8x1 " ] ||
  fail "events: $(tags "$work/whole/$events")"

# A method with a state of its own (averages, frozen weights, rounding at the end) resumes as exactly.
guided=$BITPILOT_SOURCE/experiments/configs/qgt_fashion_mnist.json
settings=(--set backbone=ds_cnn --set batch=32 --set train_images=512 --set evaluation_images=100 --set calibration_images=128
  --set checkpoint_steps=3 --set float.epochs=1 --set supernet.epochs=2 --set method.refit=5 --set method.freeze=0.4 --set method.report_images=100)
"$train" train --config "$guided" "${settings[@]}" --out "$work/guided" --quiet >"$work/guided.log" 2>&1 || { cat "$work/guided.log"; fail "the guided training"; }
for target in 20 33 44; do
  "$train" train --config "$guided" "${settings[@]}" --out "$work/guided_cut" --resume --quiet >>"$work/guided.log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    last=$(ls "$work/guided_cut/checkpoints" 2>/dev/null | grep -o 'step-[0-9]*' | sort | tail -n 1)
    [ "$((10#${last:5}0 / 10))" -ge "$target" ] 2>/dev/null && break
    sleep 0.05
  done
  kill -9 "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
done
"$train" train --config "$guided" "${settings[@]}" --out "$work/guided_cut" --resume --quiet >>"$work/guided.log" 2>&1 || fail "the last guided resume"
for file in model.safetensors metrics.jsonl summary.json bottlenecks.json bottlenecks.svg; do
  cmp "$work/guided/$file" "$work/guided_cut/$file" || fail "$file differs after kills of a guided training"
done
[ "$(grep -c '"method"' "$work/guided/metrics.jsonl")" = 2 ] || fail "metrics of the guided training"

# One thread gives the same bytes as two.
"$train" train --config "$recipe" --out "$work/one" --threads 1 --quiet >"$work/one.log" 2>&1 || { cat "$work/one.log"; fail "the training on one thread"; }
cmp "$work/whole/model.safetensors" "$work/one/model.safetensors" || fail "threads change the model"

# A policy priced in this machine's time, learned on the networks of that run: the same networks, another policy, budgets in milliseconds.
bitpilot=$BITPILOT_BIN/bitpilot
"$bitpilot" profile --model "$work/whole/model.safetensors" --out "$work/profile.json" --quiet >"$work/log" 2>&1 || { cat "$work/log"; fail "profile"; }
"$train" train --config "$recipe" --networks-from "$work/whole" --cost "latency:$work/profile.json" --out "$work/timed" --quiet >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "a policy priced in time"; }
cmp "$work/whole/float.safetensors" "$work/timed/float.safetensors" || fail "--networks-from changed the float network"
[ "$(grep -o '"[a-z]*"' "$work/timed/seconds.json")" = '"policy"' ] || fail "--networks-from timed parts that another run made: $(cat "$work/timed/seconds.json")"
anchors() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["anchors"])' "$1/summary.json"; }
[ "$(anchors "$work/whole")" = "$(anchors "$work/timed")" ] || fail "--networks-from changed the anchors"
for budget in 0.5 1000ms; do
  "$bitpilot" eval --model "$work/timed/model.safetensors" --data fashion-mnist --limit 20 --bits policy --budget $budget --quiet >"$work/log" 2>&1 ||
    { cat "$work/log"; fail "eval --budget $budget of a policy priced in time"; }
done
"$bitpilot" eval --model "$work/whole/model.safetensors" --data fashion-mnist --limit 20 --bits policy --budget 2ms --quiet >"$work/log" 2>&1
[ $? -eq 2 ] && grep -q -- '--cost latency' "$work/log" || fail "a budget in milliseconds of a policy priced in BOPs must exit 2"
# A policy of one look, on the same networks: no picture is looked at twice, at no price.
"$train" train --config "$recipe" --networks-from "$work/whole" --set policy.looks=1 --out "$work/one_look" --quiet >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "a policy of one look"; }
[ "$(anchors "$work/whole")" = "$(anchors "$work/one_look")" ] || fail "a policy of one look changed the anchors"
python3 - "$work/one_look/summary.json" "$work/whole/summary.json" <<'CHECK' || fail "second looks of a policy of one look"
import json, sys
looks = [max(row["second_looks"] for set in json.load(open(path))["policy"]["sets"].values() for row in set["sweep"]) for path in sys.argv[1:]]
assert looks[0] == 0 and looks[1] > 0, looks
CHECK
"$bitpilot" eval --model "$work/one_look/model.safetensors" --data fashion-mnist --limit 20 --bits policy --budget 0.5 --quiet >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "eval of a policy of one look"; }
"$train" search --run "$work/whole" --method ilp --cost "latency:$work/profile.json" --budget 1000ms --images 32 --quiet --sensitivity "$work/s.json" \
  --json "$work/ilp.json" >"$work/log" 2>&1 || { cat "$work/log"; fail "search --method ilp in milliseconds"; }
grep -q '"cost_unit": "ms"' "$work/ilp.json" || fail "what search wrote"
# The sensitivity's picture shows what its JSON says: a panel of loss and one of accuracy, in each every layer lowered alone and spared alone.
python3 - "$work/s.json" "$work/s.svg" <<'CHECK' || fail "search --sensitivity"
import json, sys
import xml.etree.ElementTree as xml
found, picture = json.load(open(sys.argv[1])), xml.parse(sys.argv[2]).getroot()
tag = lambda name: "{http://www.w3.org/2000/svg}" + name
layers = found["layers"]
assert found["schema"] == "bitpilot.sensitivity/1" and found["images"] == 32 and len(layers) > 5, found
for layer in layers:
    assert len(layer["only"]) == len(layer["bits"]) ** 2, layer
    assert abs(layer["loss_of_lowering"] - (layer["only"][0]["loss"] - found["highest"]["loss"])) < 1e-6, layer
panels = [[part for part in picture if not part.get("transform", "").startswith("translate(0 ")],
          list(next(part for part in picture if part.get("transform", "").startswith("translate(0 ")))]
for panel, unit, sign, scale in zip(panels, ("loss", "accuracy"), (1, -1), (1, 100)):
    words = [text.text for part in panel for text in part.iter(tag("text"))]
    assert {"loss": "cross-entropy", "accuracy": "points of accuracy"}[unit] in words, words
    for layer in layers: assert layer["name"] in words, (layer["name"], words)
    worst = []
    for style, lost in (("s0", [sign * (layer["only"][0][unit] - found["highest"][unit]) for layer in layers]),
                        ("s1", [sign * (found["lowest"][unit] - layer["all_but"][unit]) for layer in layers])):
        bars = [bar for group in panel if group.get("class") == style for bar in group.iter(tag("rect"))]
        assert len(bars) == len(layers) + 1, len(bars)  # the legend's is the last
        worst += [(abs(value), float(bar.get("height"))) for value, bar in zip(lost, bars)]
    value, height = max(worst)
    assert value > 0 and height > 20, (unit, worst)
    for other, bar in worst: assert abs(bar - other / value * height) < 0.3, (unit, other, bar, value, height)
CHECK
for method in greedy ilp; do  # what search writes, eval reads
  "$train" search --run "$work/whole" --method $method --budget 0.9 --images 32 --quiet --json "$work/found.json" >"$work/log" 2>&1 &&
    "$bitpilot" eval --model "$work/whole/model.safetensors" --data fashion-mnist --limit 20 --bits "$work/found.json" --quiet >>"$work/log" 2>&1 ||
    { cat "$work/log"; fail "eval --bits of what search --method $method found"; }
done
"$train" search --run "$work/whole" --method ilp --budget 0.9 --images 32 --quiet --controls 2 --export "$work/found.safetensors" --json "$work/found.json" \
  >"$work/log" 2>&1 || { cat "$work/log"; fail "search --export"; }
grep -q '"random_mean"' "$work/found.json" && grep -q '"seconds"' "$work/found.json" || fail "search --controls"
"$bitpilot" eval --model "$work/whole/model.safetensors" --data fashion-mnist --limit 20 --bits "$work/found.json" --quiet >"$work/log" 2>&1 ||
  { cat "$work/log"; fail "eval --bits of what search --controls wrote"; }
"$bitpilot" eval --model "$work/found.safetensors" --data fashion-mnist --limit 20 --bits searched --json "$work/eval.json" --quiet >"$work/log" 2>&1 &&
  python3 - "$work/found.json" "$work/eval.json" <<'CHECK' || { cat "$work/log"; fail "eval --bits searched"; }
import json, sys
found, judged = (json.load(open(path)) for path in sys.argv[1:])
assert abs(found["relative"] - judged["bops"]["relative"]) < 1e-6, (found["relative"], judged["bops"])
assert [row["config"] for row in judged["configs"]] == ["searched"], judged["configs"]
CHECK
safe() { "$bitpilot" inspect "$1" | grep '(safe)' | awk '{print $1}'; }
[ -n "$(safe "$work/whole/model.safetensors")" ] && [ "$(safe "$work/whole/model.safetensors")" = "$(safe "$work/found.safetensors")" ] ||
  fail "search --export forgot the safe anchor"
"$train" search --model "$work/found.safetensors" --data fashion-mnist --budget 0.9 --images 32 --export "$work/none" >"$work/log" 2>&1
[ $? -eq 2 ] && grep -q -- '--run' "$work/log" && [ ! -e "$work/none" ] || fail "search --export without a run must exit 2"
"$train" search --run "$work/whole" --budget 1ms --images 32 --quiet >"$work/log" 2>&1
[ $? -eq 2 ] && grep -q 'latency:FILE' "$work/log" || fail "search in milliseconds without times must exit 2"
refused() {  # refused UNIT METHOD ARGUMENT…: at once (the data set is not even looked for), naming the least possible in that unit
  "$train" search --run "$work/whole" --data "$work/no such set" --method "$2" "${@:3}" --quiet >"$work/log" 2>&1
  [ $? -eq 2 ] && grep -Eq "at least [0-9.e-]+$1\$" "$work/log" || fail "search --method $2 ${*:3}: $(cat "$work/log")"
}
for method in greedy ilp genetic; do
  refused '' $method --budget 0.001
  refused ms $method --cost "latency:$work/profile.json" --budget 0.00001ms
  refused '' $method --cost "latency:$work/profile.json" --budget 0.00001
done
"$train" export --run "$work/whole" --format onnx --bits u4 --out "$work/u4.onnx" >"$work/log" 2>&1 && [ -s "$work/u4.onnx" ] || fail "export --format onnx"
"$train" export --run "$work/whole" --format onnx --bits half8 --out "$work/half.onnx" >"$work/log" 2>&1
[ $? -eq 2 ] && [ ! -e "$work/half.onnx" ] || fail "an ONNX graph of half the filters must be refused"

# What a method decides between epochs survives a kill too: RFQuant's scheduler freezes 2 bits from the second epoch on.
rfquant=(--config "$recipe" --quiet --float-from "$work/whole" --set 'supernet={"epochs": 4, "random_paths": 1, "paths": ["full8"]}'
         --set 'paths=[{"name": "full8"}, {"name": "u2", "weight": 2}]' --set safe_anchor=u2 --set policy.enabled=false
         --set 'method={"name": "rfquant", "budget": 0.5, "controls": 2, "pictures": 64}')
"$train" train "${rfquant[@]}" --out "$work/method" >"$work/method.log" 2>&1 || { cat "$work/method.log"; fail "RFQuant's training"; }
"$train" train "${rfquant[@]}" --out "$work/method_cut" >>"$work/cut.log" 2>&1 &
pid=$!
while kill -0 "$pid" 2>/dev/null; do
  last=$(ls "$work/method_cut/checkpoints" 2>/dev/null | grep -o 'step-[0-9]*' | sort | tail -n 1)
  [ "$((10#${last:5}0 / 10))" -ge 165 ] 2>/dev/null && break
  sleep 0.02
done
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
"$train" train "${rfquant[@]}" --out "$work/method_cut" --resume >>"$work/cut.log" 2>&1 || { cat "$work/cut.log"; fail "resuming RFQuant"; }
python3 - "$work/method" <<'CHECK' || fail "RFQuant's events, picture and evidence"
import json, sys
import xml.etree.ElementTree as xml
events = [entry["method"] for entry in map(json.loads, open(f"{sys.argv[1]}/metrics.jsonl")) if "method" in entry]
frozen, restored = (sum(len(event[what]) for event in events) for what in ("frozen", "restored"))
assert frozen > 0 and restored > 0, events
before = set()
for event in events:
    assert set(event["restored"]) == before - set(event["frozen"]), events
    before = set(event["frozen"])
# A filled mark for each layer frozen, a ring for each restored, and the legend's.
marks = [group for group in xml.parse(f"{sys.argv[1]}/turbulence.svg").getroot() if group.get("class") == "marked"]
drawn = {style: sum(circle.get("class") == style for group in marks for circle in group.iter("{http://www.w3.org/2000/svg}circle")) for style in ("dot", "line")}
assert drawn == {"dot": frozen, "line": restored + 1}, (drawn, frozen, restored)
summary = json.load(open(f"{sys.argv[1]}/summary.json"))
search = summary["method"]["validation"]
best = min(search["finalists"], key=lambda row: row["loss"])
assert {key: search[key] for key in best} == best and -1 <= search["kendall"] <= 1 and search["images"] == 64, search
for which, said in summary["method"]["against_random"].items():
    assert abs(said["found"] - said["random_mean"] - said["gain"]["mean"]) < 1e-9, (which, said)
CHECK
for file in model.safetensors metrics.jsonl summary.json turbulence.svg; do
  cmp "$work/method/$file" "$work/method_cut/$file" || fail "$file of RFQuant differs after a kill"
done

# Another recipe, another folder and a damaged checkpoint are told apart.
"$train" train --config "$recipe" --out "$work/cut" --resume --seed 5 --quiet 2>"$work/err"
[ $? -eq 3 ] && grep -q 'recipe/seed' "$work/err" || fail "a resume with another seed must exit 3 and name the field"
"$train" train --config "$recipe" --out "$work/cut" --quiet 2>"$work/err"
[ $? -eq 3 ] && grep -q -- '--resume' "$work/err" || fail "an existing run without --resume must exit 3"
newest=$(ls "$work/cut/checkpoints"/*.safetensors | sort | tail -n 1)
truncate -s 1000 "$newest"
rm "$work/cut/summary.json" "$work/cut/model.safetensors"  # a finished run would be left as it is
"$train" train --config "$recipe" --out "$work/cut" --resume --quiet >"$work/log" 2>"$work/err" || fail "a resume past a damaged checkpoint"
grep -q 'damaged' "$work/err" || fail "a damaged checkpoint must be named"
cmp "$work/whole/model.safetensors" "$work/cut/model.safetensors" || fail "the model differs after a damaged checkpoint"

# A polite stop writes a checkpoint and says how to go on.
"$train" train --config "$recipe" --out "$work/stop" --quiet >"$work/log" 2>"$work/err" &
pid=$!
while [ -z "$(ls "$work/stop/checkpoints" 2>/dev/null)" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
kill -TERM "$pid"
wait "$pid"
[ $? -eq 143 ] && grep -q -- '--resume' "$work/err" || fail "SIGTERM must end training with 143"

# Wrong usage.
check() {  # check CODE WORD ARGS…
  "$train" train "${@:3}" >"$work/log" 2>"$work/err"
  local code=$?
  [ "$code" -eq "$1" ] && grep -q -- "$2" "$work/err" || fail "train ${*:3}: exit $code, want $1 with \"$2\": $(cat "$work/err")"
}
check 2 'epochs' --config "$recipe" --out "$work/x" --set supernet.0.epochs=many
check 2 'outside 0..1000' --config "$recipe" --out "$work/x" --set supernet.0.epochs=-1
check 2 'in stages' --config "$recipe" --out "$work/x" --set supernet.epochs=3
check 2 'latency:FILE' --config "$recipe" --out "$work/x" --cost watts
check 3 "$work/none.json" --config "$recipe" --out "$work/x" --cost "latency:$work/none.json"
check 3 'no float.safetensors' --config "$recipe" --out "$work/x" --networks-from "$work/none"
check 2 'exclude each other' --config "$recipe" --out "$work/x" --networks-from "$work/whole" --float-from "$work/whole"
check 3 'recipe/seed' --config "$recipe" --out "$work/y" --networks-from "$work/whole" --seed 9
check 3 'no float.safetensors' --config "$recipe" --out "$work/x" --float-from "$work/none"
[ -e "$work/x" ] && fail "a refused training left its folder"
"$train" train --help >/dev/full 2>"$work/err"
[ $? -eq 4 ] && grep -q 'cannot write the results' "$work/err" || fail "a full standard output must end with 4"
check 2 'looks' --config "$recipe" --out "$work/x" --set policy.looks=3
check 2 'supernet.epochs' --config "$recipe" --out "$work/x" --set supernet.epoch=1
check 2 'data' --config "$recipe" --out "$work/x" --dta y
printf '{"paths": [{"name": "a"}], "epocs": 3}' >"$work/bad.json"
check 3 'epocs' --config "$work/bad.json" --data fashion-mnist --out "$work/x"
check 3 "$work/none.json" --config "$work/none.json" --out "$work/x"
check 3 "$work/none" --config "$recipe" --data "$work/none" --out "$work/x"
check 4 'CUDA' --config "$recipe" --device cuda --out "$work/x"
check 2 'did you mean cuda' --config "$recipe" --device cuad --out "$work/x"
check 2 'unknown device "tpu"' --config "$recipe" --device tpu --out "$work/x"
exit $failed
