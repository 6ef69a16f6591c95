#!/usr/bin/env bash
# experiments/reproduce and experiments/record_results around stand-ins for the programs: what they call, keep, skip and refuse.
set -u
unset BITPILOT_ISA
source_dir=${BITPILOT_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# The programs in little: each call is a line in $work/calls; a run's model is its command line without its folders.
mkdir "$work/bin"
cat >"$work/bin/bitpilot-train" <<'PY'
#!/usr/bin/env python3
import json, os, sys
work = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with open(f"{work}/calls", "a") as calls:
    print(os.path.basename(sys.argv[0]), *sys.argv[1:], *filter(None, [os.environ.get("BITPILOT_ISA")]), file=calls)
words = sys.argv[2:]
value = lambda name: words[words.index(name) + 1]
if sys.argv[1] == "train":
    out, settings = value("--out"), sorted(words[i + 1] for i, word in enumerate(words) if word == "--set")
    name = next((s[5:] for s in settings if s.startswith("name=")), json.load(open(value("--config")))["name"])
    recipe = {"name": name, "seed": int(value("--seed")), "backbone": "resnet8", "data": "pictures", "paths": [{"name": "full8"}],
              "policy": {"enabled": True}, "settings": settings}
    os.makedirs(out, exist_ok=True)
    if os.path.exists(f"{out}/recipe.json") and json.load(open(f"{out}/recipe.json")) != {"recipe": recipe}:
        print("bitpilot: the run was started with another recipe", file=sys.stderr)
        sys.exit(3)
    json.dump({"recipe": recipe}, open(f"{out}/recipe.json", "w"))
    if os.path.exists(f"{work}/killed") and not os.path.exists(f"{out}/checkpoint"):
        open(f"{out}/checkpoint", "w").close()
        sys.exit(143)
    if not os.path.exists(f"{out}/summary.json"):
        open(f"{out}/model.safetensors", "w").write(name + value("--seed") + str(settings))
        open(f"{out}/metrics.jsonl", "w").write("" if "--float-from" in words else '{"stage": "float"}\n')
        json.dump({"float": 90, "supernet": 200, "policy": 10}, open(f"{out}/seconds.json", "w"))
        json.dump({"anchors": {"full8": {}}, "method": {"layers": [[2, 2]]}}, open(f"{out}/summary.json", "w"))
elif sys.argv[1] == "compare" and "--form" in words:
    print(json.dumps({"forms": [{"form": "tensor/asymmetric", "path": "u4"} for word in words if word == "--form"]}))
elif sys.argv[1] == "compare":
    rivals = [{"name": "alone_u2/u2", "method": "alone_u2", "bops": 1}, {"name": "rounded_u2/u2", "method": "rounded_u2", "bops": 1}]
    print(json.dumps({"policy": [{"guard": True, "wanted_bops": 2e7}], "cascades": [], "shared": {}, "differences": [{"anchor": "u2", "method": "u2_minus_alone_u2"}], "rivals": rivals, "anchors": {}}))
elif sys.argv[1] == "rivals":
    print(json.dumps({"schema": "bitpilot.rival/1", "method": value("--method")}))
elif sys.argv[1] == "curve":
    import hashlib
    runs = [w.split("=")[1].split(",") for i, w in enumerate(words) if words[i - 1] == "--series"]
    models = [["sha256:" + hashlib.sha256(open(f"{run}/model.safetensors", "rb").read()).hexdigest() for run in series] for series in runs]
    json.dump({"schema": "bitpilot.curve/1", "series": [{"models": m} for m in models]}, open(value("--json"), "w"))
else:  # bitpilot eval, bitpilot profile
    if sys.argv[1] == "profile": open(value("--out"), "w").write("{}")
    else: print(json.dumps({"isa": "none", "data": {"images": 5}, "accuracy": 0.5, "bops": {"relative": 0.1}, "latency_ms": {"mean": 1, "typical": 1}}))
PY
chmod +x "$work/bin/bitpilot-train"
cp "$work/bin/bitpilot-train" "$work/bin/bitpilot"

# A tree without kept records, for what --list knows of times.
mkdir -p "$work/bare/experiments" && cp -r "$source_dir"/experiments/{reproduce,records.py,rows.json,configs} "$work/bare/experiments"
tree=$source_dir
reproduce() { "$tree/experiments/reproduce" --bin "$work/bin" --out "$work/out" "$@" >"$work/log" 2>&1; }
expect() {  # expect CODE TEXT ARGUMENT…: ends so, says so, and shows nobody a traceback
  local code=0
  reproduce "${@:3}" || code=$?
  [ "$code" = "$1" ] && grep -qF -- "$2" "$work/log" && ! grep -q Traceback "$work/log" || { cat "$work/log"; fail "reproduce ${*:3} ended with $code"; }
}
calls() { touch "$work/calls"; grep -c "$1" "$work/calls"; }

# --list says what it would do and does nothing.
tree=$work/bare expect 0 "train      ? min" --list
[ -e "$work/out" ] && fail "--list left something behind"
[ -e "$work/calls" ] && fail "--list called a program"
# Every record's name begins with its row's, or with its run's.
python3 - "$source_dir/experiments/rows.json" >"$work/names" <<'PY'
import json, sys
for name, rows in json.load(open(sys.argv[1]))["rows"].items(): print(name, *(row["run"] for row in rows))
PY
while read -r name runs; do
  expect 0 "record" --list --only "$name"
  grep '^record' "$work/log" | sed 's/.* //' | while read -r file; do
    for start in $name $runs; do case $(basename "$file") in "$start"[-_]*) continue 2 ;; esac; done
    echo "$file"
  done | grep . && fail "records of $name begin neither with it nor with their run"
done <"$work/names"
# --small keeps one seed everywhere, and of the Forms trained alone none; seeds that are asked for do not bring those back.
expect 0 "in all" --list --small
grep -E -- '-s[1-9]|-forms\.json|eqnet_alone|alone_u4_long' "$work/log" && fail "--small is not small"
expect 0 "in all" --list --small --seeds 1
grep -E -- '-forms\.json|eqnet_alone|alone_u4_long' "$work/log" && fail "--small --seeds is not small"
# A rival's and a search's own seconds are told: those of experiments/results.
python3 - "$source_dir/experiments/results" <<'PY' >"$work/known"
import json, sys
for file in "searches-s0-ilp_0.09", "hybrid-s0-hybrid":
    print(f"{json.load(open(f'{sys.argv[1]}/{file}.json'))['metrics']['seconds'] / 60:4.1f} min  .*{file}.json")
PY
expect 0 "record" --list --only searches --only hybrid
while read -r told; do grep -q -- "$told" "$work/log" || fail "--list does not tell: $told"; done <"$work/known"

# A row: trained once, recorded, then skipped; --again makes the records once more, from the same run.
expect 0 "train resnet8, seed 0" --only hybrid --seeds 0
[ -e "$work/out/hybrid-s0-hybrid.json" ] || fail "no record of hybrid"
expect 0 "hybrid-s0-hybrid.json stands: skipped" --only hybrid --seeds 0
[ "$(calls '^bitpilot-train rivals')" = 1 ] || fail "a row that stands was made again"
expect 0 "" --only hybrid --seeds 0 --again
[ "$(calls '^bitpilot-train rivals')" = 2 ] || fail "--again made nothing"
# Another model: the record no longer stands.
echo other >>"$work/out/runs/resnet8-s0/model.safetensors"
expect 0 "record" --list --only hybrid --seeds 0
expect 0 "" --only hybrid --seeds 0
[ "$(calls '^bitpilot-train rivals')" = 3 ] || fail "a record of another model was kept"
# A torn record is none.
echo '{"models"' >"$work/out/hybrid-s0-hybrid.json"
expect 0 "" --only hybrid --seeds 0
[ "$(calls '^bitpilot-train rivals')" = 4 ] || fail "a torn record was kept"

# Equal numbers of evaluations, unless the row says otherwise; both rows of one learner are kept.
expect 0 "" --only reinforce --seeds 0
python3 - "$work/out" <<'PY' || fail "records of reinforce"
import json, sys
equal, longer = (json.load(open(f"{sys.argv[1]}/reinforce-s0-{name}.json")) for name in ("reinforce", "reinforce_600k"))
assert equal["evaluations"] == 160000 and longer["evaluations"] == 600000 and longer["method"] == "reinforce_600k", (equal, longer)
assert equal["command"] == ("bitpilot-train rivals --run runs/reproduce/runs/resnet8-s0 --method reinforce --seed 0 --threads 2 --json - "
                            "--evaluations 160000 --memory runs/reproduce/memory"), equal["command"]
PY

# A policy priced on named kernels: profile, training and records run on them, the networks that it starts from on this machine's own.
expect 0 "train resnet8_latency_avx2, seed 0" --only dqmq_latency_avx2
[ "$(calls '^bitpilot profile .*/profile_avx2.json .* avx2$')" = 1 ] || fail "the profile of named kernels: $(grep '^bitpilot profile' "$work/calls")"
grep -q "^bitpilot-train train .*--cost latency:$work/out/profile_avx2.json .* avx2\$" "$work/calls" || fail "a policy priced on named kernels"
grep -q -- '--out [^ ]*/resnet8-s0 .* avx2$' "$work/calls" && fail "the networks were trained on the named kernels"
[ "$(calls '^bitpilot eval .*/resnet8_latency_avx2-s0/.*profile_avx2.json avx2$')" -gt 3 ] || fail "records of named kernels"
[ "$(calls '^bitpilot eval .*/resnet8_latency_avx2-s0[/-]')" = "$(calls '^bitpilot eval .* avx2$')" ] || fail "records on other kernels"
[ -e "$work/out/dqmq_latency_avx2-s0-policy_unguarded-seen.json" ] || fail "no record of dqmq_latency_avx2"

# A run that was stopped goes on; the exit code is the program's.
touch "$work/killed"
expect 143 "again to go on" --only rfquant_ablation --seeds 1
while [ "$(reproduce --only rfquant_ablation --seeds 1; echo $?)" = 143 ]; do :; done
rm "$work/killed"
expect 0 "rfquant_ablation_against_rfquant_ablation_none-s1-comparison.json stands: skipped" --only rfquant_ablation --seeds 1
python3 - "$work/out" "$source_dir" <<'PY' || fail "records of rfquant_ablation"
import json, os, sys
training = json.load(open(f"{sys.argv[1]}/rfquant_ablation_none-s1-training.json"))
assert training["command"] == "experiments/reproduce --only rfquant_ablation --seeds 1", training["command"]
assert training["trained_seconds"] == {"float": 90, "supernet": 200, "policy": 10} and training["seconds"] > 0, training
eval_ = json.load(open(f"{sys.argv[1]}/rfquant_ablation_none-s1-uniform8-seen.json"))
assert "--model runs/reproduce/runs/rfquant_ablation_none-s1/model.safetensors" in eval_["command"], eval_["command"]
records = json.load(open(f"{sys.argv[1]}/rfquant_ablation_against_rfquant_ablation_none-s1-comparison.json"))
assert "--rival runs/reproduce/runs/rfquant_ablation_none-s1" in records[0]["command"] and len(records[0]["models"]) == 2, records[0]
for part in "scheduler", "mitigation":  # each part of the method alone, too
    alone, = {record["command"] for record in json.load(open(f"{sys.argv[1]}/rfquant_ablation_{part}_against_rfquant_ablation_none-s1-comparison.json"))}
    assert f"--run runs/reproduce/runs/rfquant_ablation_{part}-s1 " in alone and "--rival runs/reproduce/runs/rfquant_ablation_none-s1" in alone, alone
assert [record["method"] for record in records] == ["compare_policy", "u2_minus_alone_u2", "alone_u2", "rounded_u2"], records
for name in os.listdir(sys.argv[1]):
    if name.endswith(".json"): assert sys.argv[1] not in open(f"{sys.argv[1]}/{name}").read(), name
PY
# The ablation judges uniform paths only: none of its runs searches.  A record that two rows have is made once.
grep '^bitpilot-train train .*--out [^ ]*/rfquant_ablation' "$work/calls" | grep -v -- '--set method.budget=0' | grep . && fail "an ablation searches"
[ "$(reproduce --list --only rfquant_ablation --seeds 1; grep -c rfquant_ablation_none-s1-training.json "$work/log")" = 1 ] || fail "a record twice in one call"
# Its minutes are known now, for other seeds too; the sum says what is left and what nobody knows.
expect 0 " 5.0 min" --list --only rfquant_ablation --seeds 1
expect 0 " 5.0 min" --list --only rfquant_ablation --seeds 7
expect 0 "in all  0.0 h for 0 of 0 still to do" --list --only rfquant_ablation --seeds 1

# EQ-Net: each Form beside the same one trained alone, all in one record that knows its runs.
expect 0 "" --only eqnet --seeds 0
python3 - "$work/out" <<'PY' || fail "the record of Forms"
import json, sys
records = json.load(open(f"{sys.argv[1]}/eqnet_fashion_mnist-s0-forms.json"))
assert len(records) == 8 and {record["method"] for record in records} == {"form_tensor_asymmetric_u4"} and len(records[0]["models"]) == 9, records
assert "--form runs/reproduce/runs/eqnet_alone_channel_symmetric_u3-s0" in records[0]["command"], records[0]
PY
expect 0 "eqnet_fashion_mnist-s0-forms.json stands: skipped" --only eqnet --seeds 0
# Its folders say how long a network trained alone takes: for another seed, and for another one of the recipe with as many paths, but not for
# twice the passes.  A clock that saw a part of the training says nothing.
tree=$work/bare expect 0 "in all" --list --only dqmq --seeds 0 9
for told in " 5.0 min  .*/alone_u3-s9" " 5.0 min  .*/alone_m57-s9" " 5.0 min  .*/resnet8-s9" " ? min  .*/alone_u4_long-s9" " ? min  .*/ds_cnn-s9"; do
  grep -q -- "$told" "$work/log" || { cat "$work/log"; fail "--list does not tell: $told"; }
done
for run in "$work"/out/runs/*alone_*-s*; do echo '{"supernet": 0.0003, "policy": 10}' >"$run/seconds.json"; done
tree=$work/bare expect 0 "in all" --list --only dqmq --seeds 9
grep -q -- ' ? min  .*/alone_u3-s9' "$work/log" || fail "--list believes a clock that saw a part"

# Small runs stand apart; a folder with another recipe is refused, and nothing that calling again would mend is promised.
expect 0 "train resnet8, seed 0" --small --only hybrid
[ -e "$work/out/small/hybrid-s0-hybrid.json" ] || fail "no small record"
grep -q 'train .*--out '"$work"'/out/small/runs/resnet8-s0 .*--set float.epochs=4' "$work/calls" || fail "the small run is not small"
expect 0 "" --small --only reinforce
[ -e "$work/out/small/reinforce-s0-reinforce_600k.json" ] && fail "the long row was made small"
rm -rf "$work/out/runs" && cp -r "$work/out/small/runs" "$work/out/runs"
expect 3 "another recipe" --only hybrid --seeds 0
grep -q 'again to go on' "$work/log" && fail "promised what does not help"

# The curve of several seeds, once each and once together.
expect 0 "" --only abs --seeds 0 1 --small
for seeds in 0 1 0-1; do [ -e "$work/out/small/abs-s$seeds-curve.json" ] || fail "no curve of seeds $seeds"; done
expect 0 "abs-s0-1-curve.json stands: skipped" --only abs --seeds 0 1 --small

# Wrong usage and a machine that does not play along: one message each.
expect 2 "0 is no whole number of 1 or more" --threads 0
expect 2 "-3 is no whole number of 0 or more" --seeds -3
expect 2 "invalid choice" --only nothing
expect 2 "there is no program bitpilot-train here" --bin /nonexistent
expect 4 "the folder cannot be made" --out /proc/nope
"$source_dir/experiments/record_results" "$work/nothing" --bin "$work/bin" --out "$work/out" >"$work/log" 2>&1
[ $? -eq 3 ] && grep -q 'the file cannot be read' "$work/log" || { cat "$work/log"; fail "a run that is not there"; }
# A float network from elsewhere: the run alone does not tell how it was trained.
: >"$work/out/small/runs/resnet8-s0/metrics.jsonl"
"$source_dir/experiments/record_results" "$work/out/small/runs/resnet8-s0" --bin "$work/bin" --out "$work/out" >"$work/log" 2>&1
[ $? -eq 2 ] && grep -q -- '--made-by' "$work/log" || { cat "$work/log"; fail "a run that does not tell how it was trained"; }
exit $failed
